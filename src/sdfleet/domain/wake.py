"""How long a call of the fast scaler counts. Request handlers load this and nothing else of its memory."""

from datetime import timedelta

#: Beyond its next look a scaler counts as awake: a cold start, a throttled call. Then anybody may wake it again.
AWAKE_GRACE = timedelta(seconds=60)
#: A hand-in counts as a waiting task for this long: SQS's counts may take a minute to show it (API Reference,
#: GetQueueAttributes).
CALL_LASTS = timedelta(seconds=60)
