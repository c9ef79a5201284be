"""Render chat templates in a process of its own: `python -m compress.runtime.template_process`.

A template is a program that came with a model. It runs in Jinja's sandbox, which keeps it from the system
but not from loops without end and texts without bounds, and those only the system can stop: this process
has a limit of memory and of processor time, and whoever started it kills it when it is late.

Each line of stdin is a request, `{"template", "values"}`; each line of stdout answers one: `{"text"}` or
`{"error"}`. The first says that it is ready. The end of stdin ends the process.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from compress.runtime.template_limits import MEMORY, OUTPUT, SECONDS

if TYPE_CHECKING:
    from jinja2.parser import Parser


class _Generation(Extension):
    """`{% generation %}` marks what the model wrote itself, for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: Parser) -> jinja2.nodes.Node:
        """Read the block as if the two tags were not there, in a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Any) -> Any:
        return caller()


class _Namespace(jinja2.utils.Namespace):
    """Jinja's namespace without names that begin with an underscore, as in transformers."""

    def __init__(*args: Any, **values: Any) -> None:
        self, *rest = args  # so that `namespace(self=...)` is allowed, as in Jinja
        values = dict(*rest, **values)
        for name in values:
            _refuse_private(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


class _Dict:
    """`dict` for templates, with nothing of the class but its calls."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)

    def fromkeys(self, *args: Any, **values: Any) -> dict[Any, Any]:
        """Make a mapping with one value for all keys."""
        return dict.fromkeys(*args, **values)


def _refuse_private(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace takes no name with an underscore, got {name!r}")


def environment() -> ImmutableSandboxedEnvironment:
    """The environment in which transformers renders chat templates (5.10 to 5.24)."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    made.filters["tojson"] = _to_json
    made.globals |= {
        "raise_exception": _raise,
        "strftime_now": lambda pattern: datetime.now().strftime(pattern),
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return made


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    """JSON without Jinja's escapes for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: Any) -> NoReturn:
    raise jinja2.exceptions.TemplateError(str(message))


def render(template: str, values: dict[str, Any], *, longest: int = OUTPUT) -> str:
    """Render a template to at most `longest` bytes.

    Raises:
        ValueError: The text is longer.
        Exception: Whatever the template's own code raises.
    """
    pieces, length = [], 0
    for piece in environment().from_string(template).generate(**values):
        pieces.append(piece)
        length += len(piece.encode("utf8", "replace"))
        if length > longest:
            raise ValueError(f"it writes more than {longest:,} bytes")
    return "".join(pieces)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; that of time holds there too
        return
    most = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _address_space() -> int:
    """Bytes of address space that this process has: some systems map large files of locales."""
    import resource

    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[0]) * resource.getpagesize()
    except OSError:  # no Linux
        return MEMORY


def _limit_time() -> None:
    """Let the system end this process `SECONDS` of processor time from now, should nobody else do it."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _reply(line: str) -> dict[str, str]:
    try:
        request = json.loads(line)
        return {"text": render(request["template"], request["values"])}
    except MemoryError:
        return {"error": f"it takes more than {MEMORY // 2**20} MB of memory"}
    except RecursionError:
        return {"error": "it is nested too deeply"}
    except Exception as error:  # a template raises whatever it likes
        return {"error": f"{type(error).__name__}: {' '.join(str(error)[:300].split())}"}


def main() -> None:
    """Answer requests until stdin ends."""
    answers: TextIO = os.fdopen(os.dup(1), "w", encoding="utf8")
    _limit_memory()
    _answer(answers, {})
    for line in sys.stdin:
        _limit_time()
        _answer(answers, _reply(line))


def _answer(stream: TextIO, answer: dict[str, str]) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
