"""`python -m sdfleet_bench.request_cpu N`: prints the CPU milliseconds of a request that the real handler accepts.

All threads of the process count. The stub that answers for AWS is another process.
"""

from __future__ import annotations

import json
import sys
import time

from sdfleet_bench import workload
from sdfleet_lambdas import api


def main(count: int) -> None:
    for number in range(workload.WARM_UP):
        _accepted(number)
    began = time.process_time()
    for number in range(count):
        _accepted(number)
    print(1000 * (time.process_time() - began) / count)


def _accepted(number: int) -> None:
    answer = api.handler(workload.api_event(number), None)
    if answer["statusCode"] != 200:
        sys.exit(f"The handler answered {answer['statusCode']}: {json.dumps(answer['body'])[:200]}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
