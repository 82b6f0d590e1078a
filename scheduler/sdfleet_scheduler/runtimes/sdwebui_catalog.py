"""What a WebUI has to offer, and its spelling of it.

The server takes an unknown sampler, scheduler, VAE or model without a word and uses another: names are looked up here
before a job is sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any

import httpx

from sdfleet.domain.models import ModelKind
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.connection import translated
from sdfleet_scheduler.runtimes.sdwebui_checkpoint import Checkpoint, checkpoint_of, matching, without_hash
from sdfleet_scheduler.runtimes.sdwebui_failures import failure_of

Entries = list[dict[str, Any]]

#: A list takes milliseconds; ten seconds of it were seen while a model was loading, tripled.
LIST_TIMEOUT = timedelta(seconds=30)
#: A refresh waits until the running job (somebody else's, if any) has ended.
REFRESH_TIMEOUT = timedelta(minutes=2)

SAMPLERS = "/sdapi/v1/samplers"
SCHEDULERS = "/sdapi/v1/schedulers"
UPSCALERS = "/sdapi/v1/upscalers"
LATENT_UPSCALERS = "/sdapi/v1/latent-upscale-modes"
CHECKPOINTS = "/sdapi/v1/sd-models"
VAES = "/sdapi/v1/sd-vae"
#: Forge: VAEs and text encoders together.
MODULES = "/sdapi/v1/sd-modules"

LORAS = "/sdapi/v1/loras"
HYPERNETWORKS = "/sdapi/v1/hypernetworks"
#: Of the ControlNet extension, and of Forge, which has it built in. The server looks at its files for each answer.
CONTROLNETS = "/controlnet/model_list"

_REFRESH = {
    LORAS: "/sdapi/v1/refresh-loras",
    CHECKPOINTS: "/sdapi/v1/refresh-checkpoints",
    VAES: "/sdapi/v1/refresh-vae",
    MODULES: "/sdapi/v1/refresh-vae",
}
#: What is out of date when files of a kind have come.
_LISTS_OF = {
    ModelKind.CHECKPOINT: (CHECKPOINTS,),
    ModelKind.VAE: (VAES, MODULES),
    ModelKind.TEXT_ENCODER: (MODULES,),
    ModelKind.LORA: (LORAS,),
    ModelKind.CONTROLNET: (CONTROLNETS,),
}
_REFRESH_EMBEDDINGS = "/sdapi/v1/refresh-embeddings"


class UnknownName(Exception):
    """The server has nothing of this name; the message says what, and what comes near."""


@dataclass(frozen=True)
class Sampler:
    name: str
    #: From the old way of naming both: `DPM++ 2M Karras`.
    scheduler: str | None = None


class Catalog:
    """The server's lists, fetched once and again when a name is not in them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._lists: dict[str, Entries] = {}
        #: Lists that this server does not have at all.
        self._absent: set[str] = set()

    def forget(self, *paths: str) -> None:
        """Fetch these lists anew when next needed; without arguments all of them."""
        for path in paths or tuple(self._lists):
            self._lists.pop(path, None)

    async def sampler(self, wanted: str) -> Sampler:
        """Raises:
        UnknownName: there is none.
        """
        found = await self._sampler(wanted)
        if found is None:
            self.forget(SAMPLERS, SCHEDULERS)
            found = await self._sampler(wanted)
        if found is None:
            raise _unknown("sampler", wanted, _names(await self._entries(SAMPLERS)))
        return found

    async def _sampler(self, wanted: str) -> Sampler | None:
        samplers = await self._entries(SAMPLERS)
        name = _match(wanted, samplers)
        if name is not None:
            return Sampler(name)
        for scheduler in await self._entries(SCHEDULERS):
            for alias in _aliases(scheduler):
                if wanted.casefold().endswith(f" {alias.casefold()}"):
                    name = _match(wanted[: -len(alias) - 1].rstrip(), samplers)
                    if name is not None:
                        return Sampler(name, _label(scheduler))
        return None

    async def scheduler(self, wanted: str) -> str:
        """Raises:
        UnknownName: there is none.
        """
        # Servers from before schedulers were separate have no list, and only the automatic choice.
        return await self._named("scheduler", wanted, (SCHEDULERS,), always=("Automatic",))

    async def upscaler(self, wanted: str, *, latent: bool = False) -> str:
        """`latent`: for the high-resolution pass, which has modes of its own.

        Raises:
            UnknownName: there is none.
        """
        paths = (UPSCALERS, LATENT_UPSCALERS) if latent else (UPSCALERS,)
        try:
            return await self._named("upscaler", wanted, paths)
        except UnknownName as error:
            file = wanted if PurePath(wanted).suffix in (".pth", ".safetensors") else f"{wanted}.pth"
            raise UnknownName(
                f"{error} If it is an upscaler with a model file, that file is missing: put {file} into models/ESRGAN"
                " (or the directory of its kind) of the WebUI and restart it."
            ) from None

    async def vae(self, wanted: str) -> str:
        """Raises:
        UnknownName: there is none.
        """
        return await self._named("VAE", wanted, (VAES,), always=("Automatic", "None"))

    async def module(self, wanted: str) -> str:
        """Forge's VAEs and text encoders.

        Raises:
            UnknownName: there is none.
        """
        return await self._named("VAE or text encoder", PurePath(wanted).name, (MODULES,))

    async def is_forge(self) -> bool:
        """Whether VAEs are chosen as Forge does: it has a list of modules where the original has one of VAEs."""
        await self._entries(MODULES)
        return MODULES not in self._absent

    async def checkpoint(self, wanted: str) -> Checkpoint:
        """By file, name, hash or `file [hash]`, as the server takes them; but whole: it would take any part of a title.

        Raises:
            UnknownName: there is none, or several.
        """
        found = matching(wanted, await self._entries(CHECKPOINTS))
        if not found:
            await self._refresh(CHECKPOINTS)
            found = matching(wanted, await self._entries(CHECKPOINTS))
        if not found:
            known = [checkpoint_of(entry).file for entry in await self._entries(CHECKPOINTS)]
            raise _unknown("checkpoint", wanted, known)
        if len(found) > 1:
            raise UnknownName(f"{wanted!r} may be {' or '.join(one.file for one in found)}; give the path.")
        return found[0]

    async def lora(self, wanted: str) -> None:
        """Raises:
        UnknownName: there is none; the server would say so in its log alone.
        """
        await self._exactly("LoRA", wanted, LORAS)

    async def hypernetwork(self, wanted: str) -> None:
        """Raises:
        UnknownName: there is none.
        """
        await self._exactly("hypernetwork", wanted, HYPERNETWORKS)

    async def controlnet(self, wanted: str) -> None:
        """By name or by `name [hash]`.

        Raises:
            UnknownName: there is none.
        """
        await self._exactly("ControlNet model", without_hash(wanted), CONTROLNETS)

    async def look_again(self, kinds: Iterable[ModelKind]) -> None:
        """Files of these kinds have come. Between jobs only: the server answers when no job runs."""
        for path in dict.fromkeys(path for kind in kinds for path in _LISTS_OF.get(kind, ())):
            if path not in self._absent:
                await self._refresh(path)
        if ModelKind.EMBEDDING in kinds:
            with translated(self._client):
                await self._client.post(_REFRESH_EMBEDDINGS, timeout=REFRESH_TIMEOUT.total_seconds())

    async def _exactly(self, what: str, wanted: str, path: str) -> None:
        """These the server takes in no other case; where it has no such list, nothing is known of them."""
        for look in ("as it was", "again"):
            known = [name for entry in await self._entries(path) for name in (entry.get("name"), entry.get("alias"))]
            if wanted in known or path in self._absent:
                return
            if look == "as it was":
                await self._refresh(path)
        raise _unknown(what, wanted, [str(name) for name in dict.fromkeys(known) if name])

    async def _named(self, what: str, wanted: str, paths: tuple[str, ...], *, always: tuple[str, ...] = ()) -> str:
        async def find() -> str | None:
            for path in paths:
                name = _match(wanted, await self._entries(path))
                if name is not None:
                    return name
            return next((name for name in always if name.casefold() == wanted.casefold()), None)

        found = await find()
        if found is None:
            for path in paths:
                await self._refresh(path)
            found = await find()
        if found is None:
            known = [name for path in paths for name in _names(await self._entries(path))]
            raise _unknown(what, wanted, [*known, *(name for name in always if name not in known)])
        return found

    async def _entries(self, path: str) -> Entries:
        if path not in self._lists:
            with translated(self._client):
                response = await self._client.get(path, timeout=LIST_TIMEOUT.total_seconds())
            self._absent.discard(path)
            if response.status_code == httpx.codes.NOT_FOUND:
                self._absent.add(path)
                self._lists[path] = []
            elif response.status_code == httpx.codes.OK:
                self._lists[path] = _listed(response, path)
            else:
                raise failure_of(response)
        return self._lists[path]

    async def _refresh(self, path: str) -> None:
        """Let the server look at its files again: one that came later is unknown to it until then."""
        if path in _REFRESH:
            with translated(self._client):
                await self._client.post(_REFRESH[path], timeout=REFRESH_TIMEOUT.total_seconds())
        self.forget(path)


def _listed(response: httpx.Response, path: str) -> Entries:
    if path == CONTROLNETS:
        names = _json_list(response, "model_list")
        return [{"name": without_hash(name)} for name in names if isinstance(name, str)]
    return [entry for entry in _json_list(response) if isinstance(entry, dict)]


def _json_list(response: httpx.Response, key: str | None = None) -> list[Any]:
    try:
        value = response.json()
        value = value.get(key) if key is not None and isinstance(value, dict) else value
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise RuntimeFailure.lost(f"The WebUI's answer at {response.url.path} is no list. Is it a WebUI?")
    return value


def _label(entry: dict[str, Any]) -> str:
    """What the API takes: a scheduler's label, a sampler's or upscaler's name, a VAE's file."""
    return str(entry.get("label") or entry.get("name") or entry.get("model_name") or "")


def _aliases(entry: dict[str, Any]) -> list[str]:
    names = [_label(entry), entry.get("name"), *(entry.get("aliases") or ())]
    if entry.get("filename"):
        names += [PurePath(entry["filename"]).name, PurePath(entry["filename"]).stem]
    return [str(name) for name in names if name]


def _names(entries: Entries) -> list[str]:
    return [_label(entry) for entry in entries]


def _match(wanted: str, entries: Entries) -> str | None:
    """The server's spelling: the very name first, then without regard to case, then another name of it."""
    folded = wanted.strip().casefold()
    named = [entry for entry in entries if _label(entry).casefold() == folded]
    named += [entry for entry in entries if any(alias.casefold() == folded for alias in _aliases(entry))]
    exact = next((entry for entry in named if _label(entry) == wanted), None)
    return _label(exact or named[0]) if named else None


def _unknown(what: str, wanted: str, known: list[str]) -> UnknownName:
    folded = {name.casefold(): name for name in known}
    near = [folded[each] for each in difflib.get_close_matches(wanted.casefold(), folded, n=3, cutoff=0.5)]
    if near:
        hint = f"Near it are {', '.join(map(repr, near))}."
    elif known:
        hint = f"It has {', '.join(map(repr, known[:8]))}{' and others' if len(known) > 8 else ''}."
    else:
        hint = "It has none."
    return UnknownName(f"the WebUI has no {what} {wanted[:80]!r}. {hint}")
