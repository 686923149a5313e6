"""A directory that holds a pool of prompts, and all that was done with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from labeltrain.errors import BadInput, StoreDamaged
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.reading import PromptFile
from labeltrain.store.files import replace_bytes
from labeltrain.store.ledger import Event
from labeltrain.store.workspace import Workspace

KIND = "sft"
FORMAT = 1


class PromptWorkspace:
    """The prompts of a workspace and the events of its ledger.

    Use :meth:`create` or :meth:`open`; it is a context manager.

    Attributes
    ----------
    folder : Path
    prompts : tuple of Prompt
        In the order of the file they came from; positions count in it.
    """

    def __init__(self, store: Workspace, prompts: Sequence[Prompt]) -> None:
        self.store = store
        self.folder = store.folder
        self.prompts = tuple(prompts)
        self.position = {prompt.id: i for i, prompt in enumerate(self.prompts)}

    @staticmethod
    def exists(folder: Path) -> bool:
        """Return True when there is a workspace."""
        return Workspace.exists(folder)

    @classmethod
    def create(cls, folder: Path, file: PromptFile, source: str) -> PromptWorkspace:
        """Make a workspace of a pool of prompts.

        Raises
        ------
        BadInput
            There is a workspace already, or the folder is a file.
        """
        data = _to_bytes(file.prompts)
        checksum = hashlib.sha256(data).hexdigest()
        body = {
            "format": FORMAT,
            "pool": checksum,
            "prompts": len(file.prompts),
            "source": source,
            "answers_taken_out": file.answered,
            "left_out": len(file.left_out),
        }
        replace_bytes(folder / _name(checksum), data)
        return cls(Workspace.create(folder, KIND, body), file.prompts)

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> PromptWorkspace:
        """Open a workspace.

        Raises
        ------
        BadInput
            There is none, or it is of another kind.
        StoreDamaged
            A file does not hold what it should.
        """
        store = Workspace.open(folder, KIND, read_only=read_only)
        try:
            body = store.first().body
            if body.get("format") != FORMAT:
                raise BadInput(
                    f"{folder} was made by another version (format {body.get('format')})",
                    "open it with that version of labeltrain",
                )
            for event in store.events(kind="pool"):
                body = event.body
            prompts = _read(folder / _name(body["pool"]), body["pool"])
        except BaseException:
            store.close()
            raise
        return cls(store, prompts)

    def extend(self, file: PromptFile, source: str) -> int:
        """Add prompts of a later version of the pool; return how many are new.

        Raises
        ------
        BadInput
            The file lacks prompts of the workspace, or has others under their ids.
        """
        fresh = {prompt.id: prompt for prompt in file.prompts}
        for prompt in self.prompts:
            other = fresh.get(prompt.id)
            if other is None or other.messages != prompt.messages:
                what = "lacks" if other is None else "has another prompt under"
                raise BadInput(
                    f"{source} {what} the id {prompt.id!r} of the pool in {self.folder}",
                    "add new prompts to the same file, or give another --workspace",
                )
        new = [prompt for prompt in file.prompts if prompt.id not in self.position]
        if not new:
            return 0
        whole = (*self.prompts, *new)
        data = _to_bytes(whole)
        checksum = hashlib.sha256(data).hexdigest()
        replace_bytes(self.folder / _name(checksum), data)
        body = {"pool": checksum, "prompts": len(whole), "source": source, "new": len(new)}
        self.store.append([Event("", "pool", body)])
        self.prompts = whole
        self.position = {prompt.id: i for i, prompt in enumerate(whole)}
        return len(new)

    def events(self, kind: str) -> Iterator[Event]:
        """Yield the events of a kind, in order."""
        return self.store.events(kind=kind)

    def append(self, kind: str, body: dict[str, Any]) -> None:
        """Commit one event."""
        self.store.append([Event("", kind, body)])

    def close(self) -> None:
        """Close the ledger."""
        self.store.close()

    def __enter__(self) -> PromptWorkspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _name(checksum: str) -> str:
    return f"pool-{checksum[:16]}.jsonl"


def _to_bytes(prompts: Sequence[Prompt]) -> bytes:
    lines = (
        json.dumps(
            {
                "id": p.id,
                "messages": list(p.messages),
                "task": p.task,
                "line": p.line,
                "record": p.record,
            },
            ensure_ascii=False,
            default=str,
        )
        for p in prompts
    )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def _read(path: Path, checksum: str) -> list[Prompt]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreDamaged(
            f"cannot read {path}: {error.strerror}", "bring the file back, or start a new workspace"
        ) from error
    if hashlib.sha256(data).hexdigest() != checksum:
        raise StoreDamaged(
            f"{path} was changed: it is not the pool that was scored",
            "bring it back as it was, or start a new workspace",
        )
    prompts = []
    for line in data.decode("utf-8", "surrogatepass").split("\n"):
        if line:
            row = json.loads(line)
            prompts.append(
                Prompt(row["id"], tuple(row["messages"]), row["task"], row["line"], row["record"])
            )
    return prompts
