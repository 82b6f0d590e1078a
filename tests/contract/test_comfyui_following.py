"""How the adapter follows a prompt, by recorded streams."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

from fake_comfyui import (
    PNG,
    FakeComfyUi,
    Submitted,
    a_comfyui,
    a_comfyui_job,
    as_of,
    conclude,
    events_for,
    failure_of,
    recording,
    replay,
    the_end,
    until_stopped,
)
from sdfleet.domain.retry import FailureKind

BRIEF = timedelta(milliseconds=100)


async def test_a_prompt_is_followed_to_its_pictures() -> None:
    async with a_comfyui() as (fake, runtime):
        generation = await runtime.generate(a_comfyui_job(), lambda _: None)
    assert [(file.data, file.name) for file in generation.files] == [(PNG, "img_00001_.png")]
    assert [seen.body for seen in fake.seen if seen.path == "/view"] == [
        {"filename": "img_00001_.png", "subfolder": "cap/sub", "type": "output"}
    ]


async def test_the_websocket_is_opened_before_the_prompt_and_kept_for_the_next() -> None:
    async with a_comfyui() as (fake, runtime):
        for _ in range(3):
            await runtime.generate(a_comfyui_job(), lambda _: None)
    assert fake.connections == 1
    assert len({submitted.body["client_id"] for submitted in fake.submitted}) == 1


async def test_no_prompt_id_is_used_twice_even_for_the_same_try() -> None:
    async with a_comfyui() as (fake, runtime):
        for _ in range(3):
            await runtime.generate(a_comfyui_job(try_id="the-same"), lambda _: None)
    assert len({submitted.prompt_id for submitted in fake.submitted}) == 3


async def test_the_servers_history_stays_bounded() -> None:
    async with a_comfyui(history_kept=2) as (fake, runtime):
        for _ in range(5):
            await runtime.generate(a_comfyui_job(), lambda _: None)
        await runtime.close()
        ended = [submitted.prompt_id for submitted in fake.submitted]
        assert fake.bodies("/history") == [{"delete": ended[:2]}]
        assert set(fake.history) == set(ended[2:])


async def test_the_runtime_is_said_to_be_free_before_the_files_are_fetched() -> None:
    said: list[int] = []
    async with a_comfyui() as (fake, runtime):

        def viewed() -> int:
            return sum(seen.path == "/view" for seen in fake.seen)

        await runtime.generate(replace(a_comfyui_job(), on_free=lambda: said.append(viewed())), lambda _: None)
        assert viewed() > 0
    assert said == [0]


async def test_a_prompt_answered_from_the_cache_has_its_files() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay("ws_cached_identical", "history_cached_identical"))
        assert len((await runtime.generate(a_comfyui_job(), lambda _: None)).files) == 1


async def test_previews_on_the_websocket_are_skipped() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay("ws_with_previews"))
        assert len((await runtime.generate(a_comfyui_job(), lambda _: None)).files) == 1


async def test_progress_grows_with_nodes_and_steps_and_stays_below_one() -> None:
    seen: list[float] = []
    graph = recording("post_sd_tiny_cold")["request"]["json"]["prompt"]
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay("ws_sd_tiny_cold", "history_sd_tiny_cold"))
        await runtime.generate(a_comfyui_job(content=graph), seen.append)
    # Seven nodes, of which the sampler has two steps: eighths, without the last node, which ends with the prompt.
    assert seen == [share / 8 for share in (1, 2, 3, 4, 5, 6, 7)]


async def test_cached_nodes_are_no_progress_to_wait_for() -> None:
    seen: list[float] = []

    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        for kind, data in (
            ("execution_cached", {"nodes": ["1", "2"]}),
            ("executing", {"node": "3"}),
            ("progress", {"node": "3", "value": 1, "max": 2}),
        ):
            message = {"type": kind, "data": {**data, "prompt_id": prompt.prompt_id}}
            await fake.say(prompt.body["client_id"], message)
        await replay()(fake, prompt)

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(play)
        await runtime.generate(a_comfyui_job(), seen.append)
    assert seen[0] == 0.5


async def test_a_history_that_lags_behind_the_success_is_waited_for() -> None:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        for event in events_for("ws_success", prompt.prompt_id)[:-1]:
            await fake.say(prompt.body["client_id"], event)
        # The last message, `executing` without a node, never comes.
        await asyncio.sleep(0.05)
        conclude(fake, prompt, "history_success")

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(play)
        assert len((await runtime.generate(a_comfyui_job(), lambda _: None)).files) == 1


async def test_other_clients_events_are_not_ours() -> None:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        client_id = prompt.body["client_id"]
        for _, event in recording("ws_other_client_interrupted_broadcast"):
            await fake.say(client_id, event)
        for _, event in recording("ws_success"):
            await fake.say(client_id, event)
        await asyncio.sleep(0.05)
        await replay()(fake, prompt)

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(play)
        assert len((await runtime.generate(a_comfyui_job(), lambda _: None)).files) == 1
    assert [seen.path for seen in fake.seen].count(f"/history/{fake.submitted[0].prompt_id}") == 1


async def test_a_killed_server_is_lost_at_once() -> None:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        for event in events_for("ws_sigkill_tail", prompt.prompt_id):
            await fake.say(prompt.body["client_id"], event)
        asyncio.get_running_loop().call_later(0.02, fake.kill)
        await asyncio.sleep(10)

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(play)
        began = time.monotonic()
        failure = await failure_of(runtime, a_comfyui_job())
        assert failure.kind is FailureKind.RUNTIME_LOST
        assert time.monotonic() - began < 1
        assert not await runtime.is_ready()


async def test_a_server_that_was_started_anew_has_lost_the_prompt() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        job = asyncio.create_task(failure_of(runtime, a_comfyui_job()))
        await fake.until_running()
        fake.running = None
        fake.hang_up()
        assert (await job).kind is FailureKind.RUNTIME_LOST


async def test_a_dropped_websocket_is_opened_again_and_the_prompt_goes_on() -> None:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        fake.hang_up()
        fake.was_connected.clear()
        await fake.was_connected.wait()
        await replay("ws_late_connect")(fake, prompt)

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(play)
        assert len((await runtime.generate(a_comfyui_job(), lambda _: None)).files) == 1
    assert fake.connections == 2


async def test_an_end_that_fell_into_the_gap_between_two_websockets_is_found_in_the_history() -> None:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        fake.hang_up()
        conclude(fake, prompt, "history_success")

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(play)
        assert len((await runtime.generate(a_comfyui_job(), lambda _: None)).files) == 1


async def test_a_websocket_that_was_taken_over_does_not_hide_the_end() -> None:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        conclude(fake, prompt, "history_success")

    async with a_comfyui(look_every=BRIEF) as (fake, runtime):
        fake.plays.append(play)
        assert len((await runtime.generate(a_comfyui_job(), lambda _: None)).files) == 1


async def test_an_idle_websocket_that_dropped_is_opened_for_the_next_prompt() -> None:
    async with a_comfyui() as (fake, runtime):
        await runtime.generate(a_comfyui_job(), lambda _: None)
        fake.hang_up()
        while runtime._socket.is_open:
            await asyncio.sleep(0.001)
        await runtime.generate(a_comfyui_job(), lambda _: None)
    assert fake.connections == 2


async def test_a_prompt_without_news_is_interrupted_and_lost() -> None:
    async with a_comfyui(hang_after=BRIEF) as (fake, runtime):
        fake.plays.append(until_stopped)
        failure = await failure_of(runtime, a_comfyui_job())
        assert failure.kind is FailureKind.RUNTIME_LOST
        assert fake.bodies("/interrupt") == [{"prompt_id": fake.submitted[0].prompt_id}]
        assert fake.running is None


async def test_a_prompt_that_nothing_of_ours_stands_before_and_that_never_starts_is_lost() -> None:
    async with a_comfyui(hang_after=BRIEF) as (fake, runtime):
        fake.running = Submitted("dead-thread", {}, {})
        assert fake._worker is not None
        fake._worker.cancel()
        failure = await failure_of(runtime, a_comfyui_job())
        assert failure.kind is FailureKind.RUNTIME_LOST
        assert fake.pending == []


async def test_two_prompts_that_never_start_do_not_vouch_for_each_other() -> None:
    async with a_comfyui(hang_after=BRIEF * 2, look_every=BRIEF / 4) as (fake, runtime):
        fake.running = Submitted("dead-thread", {}, {})
        assert fake._worker is not None
        fake._worker.cancel()
        async with asyncio.timeout(10):
            failures = await asyncio.gather(*(failure_of(runtime, a_comfyui_job()) for _ in range(2)))
        assert [failure.kind for failure in failures] == [FailureKind.RUNTIME_LOST] * 2


async def test_a_server_that_stops_answering_is_a_hang_before_its_answer_times_out() -> None:
    async with a_comfyui(hang_after=BRIEF, stop_within=BRIEF) as (fake, runtime):
        fake.plays.append(until_stopped)
        job = asyncio.create_task(failure_of(runtime, a_comfyui_job()))
        await fake.until_running()
        fake.is_mute = True
        async with asyncio.timeout(10):
            assert (await job).kind is FailureKind.RUNTIME_LOST


async def test_waiting_behind_a_prompt_of_ours_is_no_hang() -> None:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        progress = {"type": "progress_state", "data": {"prompt_id": prompt.prompt_id, "nodes": {}}}
        for _ in range(6):
            await fake.say(prompt.body["client_id"], progress)
            await asyncio.sleep(0.1)
        await replay()(fake, prompt)

    async with a_comfyui(hang_after=BRIEF * 4, look_every=BRIEF / 4) as (fake, runtime):
        fake.plays.append(play)
        jobs = [runtime.generate(a_comfyui_job(), lambda _: None) for _ in range(2)]
        assert [len(generation.files) for generation in await asyncio.gather(*jobs)] == [1, 1]


async def test_somebody_elses_interrupt_is_no_failure_of_the_task() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        job = asyncio.create_task(failure_of(runtime, a_comfyui_job()))
        (await fake.until_running()).was_stopped.set()
        assert (await job).kind is FailureKind.INTERRUPTED


async def test_without_any_websocket_the_prompt_is_polled() -> None:
    async with a_comfyui() as (fake, runtime):
        assert fake._server is not None
        fake._server.close()
        await fake._server.wait_closed()
        assert len((await runtime.generate(a_comfyui_job(), lambda _: None)).files) == 1


async def test_a_recorded_runtime_error_ends_the_prompt() -> None:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        for event in events_for("ws_err_corrupt_image", prompt.prompt_id):
            await fake.say(prompt.body["client_id"], event)
        conclude(fake, prompt, "history_err_corrupt_image")
        await fake.say(prompt.body["client_id"], the_end(prompt.prompt_id))

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(play)
        failure = await failure_of(runtime, a_comfyui_job())
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "execution_failed")
    assert "node 1 (LoadImage) with PIL.UnidentifiedImageError" in str(failure)


def test_recordings_are_told_under_the_submitted_id() -> None:
    assert "mine" in as_of("mine", recording("history_success")["body"])
