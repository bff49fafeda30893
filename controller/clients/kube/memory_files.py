"""Files that lie in memory: OpenSSL reads certificates and keys from paths alone.

The Kubernetes client writes what a kubeconfig embeds, client keys too, to temporary files, which
stay when the process is killed. Here such a file has no name in any folder, and ends with its
process.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict

__all__ = ["path_of_content"]

_MOST = 32  # files: short-lived client certificates come anew every hour

_lock = threading.Lock()
_files: OrderedDict[bytes, int] = OrderedDict()


def path_of_content(content: str | bytes, *_: object, **__: object) -> str:
    """A path at which this process, and no other, reads the content.

    Args:
        content: Of the file.
    """
    raw = content.encode() if isinstance(content, str) else content
    if not hasattr(os, "memfd_create"):
        return f"/dev/fd/{_unnamed(raw)}"  # opened twice, it would go on at its end
    with _lock:
        if raw not in _files:
            _files[raw] = os.memfd_create("kubeconfig")
            with open(_files[raw], "wb", closefd=False) as file:
                file.write(raw)
            while len(_files) > _MOST:
                os.close(_files.popitem(last=False)[1])
        _files.move_to_end(raw)
        return f"/proc/self/fd/{_files[raw]}"


def _unnamed(raw: bytes) -> int:
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        descriptor = os.dup(file.fileno())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
