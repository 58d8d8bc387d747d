"""A person's command inside a container: input, output and terminal size over one upgraded connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.engines.http.response_streams import RawStream, iter_labelled_frames

#: Number of standard error in the frames of both engines.
_STDERR = 2


class HttpExecSession:
    """See :class:`~reconciler.engines.protocol.ExecSession`.

    Args:
        stream: the connection, upgraded.
        tty: the output is a terminal's, without frames.
        find_exit_code: asks the engine, once the output has ended.
        resize_terminal: tells the engine the terminal's columns and lines.
    """

    def __init__(
        self,
        stream: RawStream,
        *,
        tty: bool,
        find_exit_code: Callable[[], int],
        resize_terminal: Callable[[int, int], None],
    ) -> None:
        self._stream = stream
        self._tty = tty
        self._find_exit_code = find_exit_code
        self._resize_terminal = resize_terminal

    def __iter__(self) -> Iterator[tuple[bool, bytes]]:
        for number, piece in iter_labelled_frames(self._stream, tty=self._tty):
            yield number == _STDERR, piece

    def send(self, data: bytes) -> None:
        """Sends input; a command that has ended takes none."""
        self._stream.send(data)

    def close_input(self) -> None:
        """Ends the input."""
        self._stream.end_input()

    def resize(self, columns: int, lines: int) -> None:
        """Sets the size of the command's terminal."""
        self._resize_terminal(columns, lines)

    def exit_code(self) -> int:
        """Returns the command's exit status, once its output has ended."""
        return self._find_exit_code()

    def close(self) -> None:
        """Ends the connection, from any thread."""
        self._stream.close()
