"""Open files: a reserve that is not given to clients, so that a node whose files are used up can go on.

A process gets the lowest free number for each file that it opens. A number near the limit therefore shows that nearly
all are in use. Links to Redis that have to be connected again and the answers to newcomers need the reserve.
"""

import errno
import os
import resource

RESERVE_MIN, RESERVE_MAX = 16, 256
"""Files of the reserve, which is an eighth of the limit between these bounds."""
OTHERS = 30
"""Files that a node has open before its first client, about."""


def file_limit() -> int:
    """The number of files that this process may have open, as it is now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft


def reserve_of(limit: int) -> int:
    """The number of files that sessions don't get of `limit`."""
    return max(RESERVE_MIN, min(RESERVE_MAX, limit // 8))


def raise_file_limit() -> None:
    """Raise the limit of open files, of which each connection needs one, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def next_file() -> int:
    """The number that the next file will get; the limit if all are in use."""
    try:
        number = os.dup(0)
    except OSError as error:
        return 0 if error.errno == errno.EBADF else file_limit()  # EBADF: 0 itself is free
    os.close(number)
    return number


def used_percent() -> float:
    """How much is used of the files that clients may have; above 100 the next one gets none, and may be told so."""
    limit = file_limit()
    return 100 * (next_file() + 1) / max(1, limit - reserve_of(limit))


def is_reserved(number: int) -> bool:
    """Whether the file with this number is one of the reserve, so that all others were in use when it was opened."""
    limit = file_limit()
    return number >= limit - reserve_of(limit)


def sessions_possible(other_files: int) -> int:
    """The sessions for which there are files. `other_files`: those of the process that are not clients'."""
    limit = file_limit()
    return max(0, limit - reserve_of(limit) - other_files)
