"""What the runtimes' images weigh in a registry: nearly all of it is Python packages, and wheels are compressed too."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from sdfleet.errors import SdfleetError

_AT_ONCE = 8
_TIMEOUT_S = 30.0
_GB = 1e9


class ImageWeightUnknown(SdfleetError):
    """pip or the package index does not say."""


@dataclass(frozen=True)
class ImageWeight:
    runtime: str
    packages: int
    #: Of the files that pip would install here, as the index has them.
    wheels_gb: float
    heaviest: str
    heaviest_gb: float


def measure(requirements: Path) -> ImageWeight:
    """Asks the index and downloads no package; `requirements`: of a runtime's image, in a folder named after it.

    Raises:
        ImageWeightUnknown: there is no index, or the packages are for another Python or system than this one.
    """
    command = (
        f"{sys.executable} -m pip install --dry-run --quiet --ignore-installed --no-deps --require-hashes --report -"
    )
    pip = subprocess.run(
        [*command.split(), "--requirement", str(requirements)], capture_output=True, text=True, check=False
    )
    if pip.returncode:
        raise ImageWeightUnknown(f"pip could not look the packages up: {pip.stderr.strip().splitlines()[-1]}")
    urls = [package["download_info"]["url"] for package in json.loads(pip.stdout)["install"]]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sizes = dict(zip(urls, pool.map(_size_bytes, urls), strict=True))
    heaviest = max(sizes, key=sizes.__getitem__)
    return ImageWeight(
        runtime=requirements.parent.name,
        packages=len(sizes),
        wheels_gb=sum(sizes.values()) / _GB,
        heaviest=heaviest.rpartition("/")[2],
        heaviest_gb=sizes[heaviest] / _GB,
    )


def _size_bytes(url: str) -> int:
    try:
        # An index may be a folder of this machine too. As it is: what is compressed on the way has no length.
        wanted = Request(url, method="HEAD", headers={"Accept-Encoding": "identity"})
        with urlopen(wanted, timeout=_TIMEOUT_S) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError) as error:
        raise ImageWeightUnknown(f"The index does not say how large {url.rpartition('/')[2]} is.") from error
