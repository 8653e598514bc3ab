"""Walk the opcodes of what may be a pickle, as the unpickler would, without running any.

Protocols 0 and 1 have no magic number, so the only sound test is to walk. The walk keeps what the
real machine keeps (stack, marks, memo) as kinds of things instead of things, and stops exactly
where the machine would fail; so ordinary text stops within a few bytes, and a stream that has got
as far as calling something is reported whatever follows. Opcodes as in CPython's `pickletools`.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from modelpack.checks.formats.pickle_arguments import Cut, OpcodeReader, Stopped
from modelpack.checks.formats.window import Window

OPCODE_LIMIT = 20_000
_PADDING = 1 << 16
_HIGHEST_PROTOCOL = 5
_ENOUGH_FOR_DATA = 3
_ENOUGH_WHEN_CUT = 8
_SERIES = 8

_PROTO, _MEMOIZE, _STACK_GLOBAL, _NEXT_BUFFER, _NEWOBJ_EX = 0x80, 0x94, 0x93, 0x97, 0x92
_CONSTANTS = frozenset(b"FILKMJGBCN\x88\x89\x8a\x8b\x8e\x96]}\x8f")
_TEXTS = frozenset(b"SVTUX\x8c\x8d")
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
_IMPORTABLE = re.compile(r"[\w-]+(\.[\w-]+)*")


class Item(NamedTuple):
    """What is known of a thing on the stack."""

    kind: str
    "`data` cannot be called, `tuple` is one, `text` is a string, `any` may be anything"
    text: str = ""


_DATA, _TUPLE, _ANY = Item("data"), Item("tuple"), Item("any")


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How far the unpickler would get."""

    opcodes: int
    protocol: int
    "what the first opcode says, -1 where it says nothing"
    finished: bool
    "it reached STOP, at `end`"
    cut: bool
    "it had not failed when the bytes or the patience ran out"
    end: int
    names: tuple[str, ...]
    "globals that it would import, in order"
    calls: tuple[str, ...]
    "what it would call; empty for what it has made itself"

    def is_pickle(self, window: Window) -> bool:
        """Tell whether this is a pickle rather than something that begins like one."""
        if self.calls:
            return True
        if self.finished:
            enough = self.opcodes >= _ENOUGH_FOR_DATA and self._is_last(window)
            return bool(self.names) or self.protocol > 0 or enough
        return self.cut and (self.protocol > 0 or self.opcodes >= _ENOUGH_WHEN_CUT)

    def _is_last(self, window: Window) -> bool:
        rest = window.read(self.end, _PADDING)
        return self.end + len(rest) >= window.size and not rest.strip(b"\0 \t\r\n")


def find(window: Window, offset: int = 0) -> Walk | None:
    """Return the walk of the pickle at `offset`, or of one that follows it, or None.

    Loaders read several pickles in a row from one file; eight of them are followed.
    """
    for _ in range(_SERIES):
        found = walk(window, offset)
        if found.is_pickle(window):
            return found
        if not found.finished:
            break
        offset = found.end
    return None


def walk(window: Window, offset: int = 0, *, limit: int = OPCODE_LIMIT) -> Walk:
    """Walk the opcodes from `offset`, at most `limit` of them."""
    reader = OpcodeReader(window=window, position=offset)
    machine = _Machine()
    finished = cut = False
    try:
        while not finished and not cut:
            finished = machine.step(*reader.opcode())
            cut = machine.opcodes >= limit
    except Cut:
        cut = True
    except Stopped:
        pass
    return Walk(
        opcodes=machine.opcodes,
        protocol=machine.protocol,
        finished=finished,
        cut=cut,
        end=reader.position,
        names=tuple(machine.names),
        calls=tuple(machine.calls),
    )


@dataclass(slots=True, kw_only=True)
class _Machine:
    """The unpickler's state, reduced to kinds; mutable, lives for one walk."""

    opcodes: int = 0
    protocol: int = -1
    stack: list[Item] = field(default_factory=list)
    marks: list[list[Item]] = field(default_factory=list)
    memo: dict[int, Item] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def step(self, code: int, argument: bytes) -> bool:
        """Carry out one opcode; return whether it was STOP."""
        if code == _PROTO:
            if argument[0] > _HIGHEST_PROTOCOL:
                raise Stopped
            if self.opcodes == 0:
                self.protocol = argument[0]
        elif code in _TEXTS:
            self.stack.append(_text(code, argument))
        elif code in _CONSTANTS:
            self.stack.append(_DATA)
        else:
            self._carry_out(code, argument)
        self.opcodes += 1
        return code == b"."[0]

    def _carry_out(self, code: int, argument: bytes) -> None:
        if code in b"ltde\x90\x91u1(02":
            self._marked(code)
        elif code in b"gjhpqr\x94":
            self._remember(code, argument)
        elif code in b"ci\x93\x82\x83\x84PQ":
            self._name(code, argument)
        elif code in b"Rbo\x81\x92":
            self._call(code)
        elif code in _TUPLES:
            self._pop(_TUPLES[code])
            self.stack.append(_TUPLE)
        elif code == b")"[0]:
            self.stack.append(_TUPLE)
        elif code == _NEXT_BUFFER:
            self.stack.append(_ANY)
        elif code in b"as":
            self._pop(2 if code == b"s"[0] else 1)
            self._top()
        elif code in b".\x98":
            self._top()

    def _marked(self, code: int) -> None:
        """MARK and what reaches back to it, and the two plainest: POP, DUP."""
        if code == b"("[0]:
            self.marks.append(self.stack)
            self.stack = []
        elif code == b"0"[0]:
            if self.stack:
                self.stack.pop()
            else:
                self._to_mark()
        elif code == b"2"[0]:
            self.stack.append(self._top())
        else:
            self._to_mark()
            if code in b"eu\x90":
                self._top()
            elif code != b"1"[0]:
                self.stack.append(_TUPLE if code == b"t"[0] else _DATA)

    def _remember(self, code: int, argument: bytes) -> None:
        if code == _MEMOIZE:
            self.memo[len(self.memo)] = self._top()
            return
        index = _index(argument) if code in b"gp" else int.from_bytes(argument, "little")
        if code in b"pqr":
            self.memo[index] = self._top()
        elif index in self.memo:
            self.stack.append(self.memo[index])
        else:
            raise Stopped

    def _name(self, code: int, argument: bytes) -> None:
        """Look up a global, an extension or a persistent id."""
        if code in b"ci":
            module, _, name = argument.decode("utf-8", "replace").partition("\n")
            if not (_IMPORTABLE.fullmatch(module) and _IMPORTABLE.fullmatch(name)):
                raise Stopped  # prose that begins with `c`; no module is called like that
            if code == b"i"[0]:
                self._to_mark()
            self._global(module, name, called=code == b"i"[0])
        elif code == _STACK_GLOBAL:
            module_item, name_item = self._pop(2)
            if "data" in (module_item.kind, name_item.kind):
                raise Stopped
            if module_item.kind == name_item.kind == "text":
                self._global(module_item.text, name_item.text, called=False)
            else:
                self.stack.append(_ANY)
        else:
            if code == b"Q"[0]:
                self._pop(1)
            self.stack.append(_ANY)

    def _global(self, module: str, name: str, *, called: bool) -> None:
        dotted = f"{module}.{name}"
        self.names.append(dotted)
        if called:
            self.calls.append(dotted)
        self.stack.append(Item("any", dotted))

    def _call(self, code: int) -> None:
        """REDUCE, OBJ, NEWOBJ, NEWOBJ_EX, BUILD."""
        if code == b"b"[0]:
            self._pop(1)
            if self._top().kind == "any":
                self._record(self._top())
            return
        if code == b"o"[0]:
            items = self._to_mark()
            if not items:
                raise Stopped
            called = items[0]
        else:
            count = 3 if code == _NEWOBJ_EX else 2
            called, arguments, *_ = self._pop(count)
            if arguments.kind not in ("tuple", "any"):
                raise Stopped
        if called.kind != "any":
            raise Stopped
        self._record(called)
        self.stack.append(_ANY)

    def _record(self, item: Item) -> None:
        self.calls.append(item.text)

    def _pop(self, count: int) -> list[Item]:
        if len(self.stack) < count:
            raise Stopped
        popped = self.stack[-count:]
        del self.stack[-count:]
        return popped

    def _top(self) -> Item:
        if not self.stack:
            raise Stopped
        return self.stack[-1]

    def _to_mark(self) -> list[Item]:
        if not self.marks:
            raise Stopped
        items, self.stack = self.stack, self.marks.pop()
        return items


def _text(code: int, argument: bytes) -> Item:
    if code == b"S"[0]:
        argument = argument.strip()[1:-1]
    if not argument or (code in b"SV" and b"\\" in argument):
        return Item("text", "")  # empty, too long to keep, or escaped: a name all the same
    return Item("text", argument.decode("utf-8", "replace"))


def _index(line: bytes) -> int:
    """Read a memo index as the C unpickler does: up to a NUL, underscores between digits."""
    try:
        return int(line.partition(b"\0")[0])
    except ValueError:
        raise Stopped from None
