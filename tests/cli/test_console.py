"""The terminal: plain lines in a pipe, one steady line on a screen."""

import io
import os
import pty
import re
import sys

import numpy as np
import pytest
from rich.console import Console

from jgm.cli.console import (
  Progress,
  Speed,
  format_time,
  is_interactive,
  make_console,
  print_error,
  print_message,
  print_results,
)
from jgm.core.experiment import Scalar


class Clock:
  """Seconds that pass only when told to."""

  def __init__(self):
    self.now = 1000.0

  def __call__(self):
    return self.now


def pipe():
  return make_console(io.StringIO())


def screen(width=80):
  """A console that draws as on a terminal, into a string."""
  return Console(
    file=io.StringIO(),
    force_terminal=True,
    width=width,
    highlight=False,
    color_system=None,
    legacy_windows=False,
    _environ={"TERM": "xterm"},
  )


def run(console, *, interactive=None, total=400, start=0, metrics=None):
  clock = Clock()
  with Progress(
    total, start, console=console, interactive=interactive, clock=clock
  ) as progress:
    clock.now += 60  # the compilation
    for step in range(start + 100, total + 1, 100):
      progress.update(step, metrics or {"loss": np.float32(0.0432), "time/x": 1.0})
      clock.now += 4.0
  return progress


def test_a_pipe_gets_one_plain_line_for_each_logged_step():
  console = pipe()
  run(console)
  assert console.file.getvalue() == (
    "step 100/400  loss 0.0432\n"
    "step 200/400  loss 0.0432  25.0 steps/s  0:08 left\n"
    "step 300/400  loss 0.0432  25.0 steps/s  0:04 left\n"
    "step 400/400  loss 0.0432  25.0 steps/s\n"
  )


def test_a_pipe_hears_nothing_of_steps_that_are_not_logged():
  console = pipe()
  with Progress(10, console=console) as progress:
    progress.update(5)
  assert console.file.getvalue() == ""


def test_a_resumed_run_counts_only_its_own_steps():
  console = pipe()
  progress = run(console, total=1000, start=800)
  assert progress.steps_per_second == 25.0
  assert "step 900/1000" in console.file.getvalue()


def test_the_speed_leaves_out_the_compilation_and_pauses_and_is_recent():
  clock = Clock()
  speed = Speed(clock)
  clock.now += 100
  speed.mark(10)
  assert speed.steps_per_second is None
  clock.now += 2
  speed.mark(20)
  assert speed.steps_per_second == 5.0
  with speed.pause():
    clock.now += 500
  clock.now += 2
  speed.mark(30)
  assert speed.steps_per_second == 5.0
  for step in range(40, 540, 10):  # a minute and more at another pace
    clock.now += 1
    speed.mark(step)
  assert speed.steps_per_second == 10.0


def test_losses_of_players_and_of_seeds_are_shown():
  console = pipe()
  run(
    console,
    total=100,
    metrics={"critic/accuracy": 0.9, "critic/loss": 1.5, "generator/loss": [0.5, 1.5]},
  )
  line = console.file.getvalue()
  assert line == "step 100/100  critic/loss 1.5000  generator/loss 1.0000 ± 0.71\n"
  console = pipe()
  run(console, total=100, metrics={"time/x": 1.0, "reward": 1e-9})
  assert console.file.getvalue() == "step 100/100  reward 1.000e-09\n"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 300])
def test_a_line_on_a_screen_fits_and_does_not_break(width):
  console = screen(width)
  run(console, interactive=True)
  drawn = re.split(
    r"\r|\n", re.sub(r"\x1b\[[0-9?]*[a-zA-Z]", "", console.file.getvalue())
  )
  lines = [line for line in drawn if line]
  assert lines and all(len(line) < width and len(line) <= 78 for line in lines)
  if width >= 60:
    assert lines[-1].startswith("━") and "400/400  loss 0.0432" in lines[-1]


def test_the_bar_is_as_full_as_the_run_is_done():
  console = screen()
  with Progress(200, 100, console=console, interactive=True) as progress:
    progress.update(150, {"loss": 1.0})
  last = console.file.getvalue().replace("\x1b[2K", "").split("\r")[-1]
  done, rest = last.count("━"), last.count("─")
  assert abs(done / (done + rest) - 0.75) < 0.03


def test_a_narrowed_terminal_has_its_extra_rows_cleared():
  console = screen(120)
  progress = Progress(400, console=console, interactive=True)
  with progress:
    progress.update(100, {"loss": 1.0})
    progress._live.refresh()
    before = console.file.getvalue()
    line = re.split(r"\x1b\[[0-9?]*[a-zA-Z]", before)[-1]
    console.width = 20  # the line that is on the screen now fills several rows
    progress._live.refresh()
    drawn = console.file.getvalue()[len(before) :]
  assert len(line) > 40
  assert drawn.count("\x1b[1A") == -(-len(line) // 20) - 1


def test_messages_are_printed_as_they_are():
  for text in ["resuming from [bold]step[/bold] 800", "x" * 300]:
    console = pipe()
    with Progress(10, console=console) as progress:
      progress.message(text)
    print_message(text, console=console)
    assert console.file.getvalue() == f"{text}\n{text}\n"


def test_what_is_done_beside_training_is_said_and_not_timed():
  clock, console = Clock(), screen()
  with Progress(400, console=console, interactive=True, clock=clock) as progress:
    progress.update(100, {"loss": 1.0})
    clock.now += 4
    progress.update(200)
    with progress.doing("evaluating"):
      progress._live.refresh()
      clock.now += 1000
    assert "evaluating" in console.file.getvalue()
    clock.now += 4
    progress.update(300)
    assert progress.steps_per_second == 25.0 and progress.seconds_left == 4.0


def test_only_a_true_terminal_is_drawn_on(monkeypatch):
  monkeypatch.delenv("CI", raising=False)
  monkeypatch.setenv("FORCE_COLOR", "1")
  assert not is_interactive(make_console(io.StringIO()))
  monkeypatch.setenv("TERM", "xterm")
  leader, follower = pty.openpty()
  with os.fdopen(leader), os.fdopen(follower, "w") as terminal:
    assert is_interactive(make_console(terminal))
    monkeypatch.setenv("TERM", "dumb")
    assert not is_interactive(make_console(terminal))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("CI", "true")
    assert not is_interactive(make_console(terminal))


SCALARS = {
  "frechet_distance": Scalar(1.23456, 1.01, 130.2, "lower", "net a; N = 890; seed 0"),
  "recall": Scalar(0.8712, 0.9, None, "higher", "net a; N = 890; seed 0"),
  "copies": Scalar(0.0, 0.0, 1.0, "equal to floor", "[red]pixels"),
}


def test_results_are_a_table_with_floors_words_and_notes():
  console = pipe()
  print_results(SCALARS, where={"report": "runs/a/report.html"}, console=console)
  lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
  assert lines == [
    "",
    "quantity value floor ceiling better note",
    "frechet distance 1.235 1.010 130.2 lower is better [1]",
    "recall 0.8712 0.9000 – higher is better [1]",
    "copies 0 0 1 best at the floor [2]",
    "[1] net a; N = 890; seed 0",
    "[2] [red]pixels",
    "",
    "report: runs/a/report.html",
  ]


def test_a_pipe_cuts_no_name_and_no_path_short():
  console = pipe()
  scalars = {"a_name_that_is_" + "very_" * 12 + "long": Scalar(1.0, 1.0, 2.0)}
  path = "runs/" + "x" * 200
  print_results([scalars, scalars], where={"samples": path}, console=console)
  text = console.file.getvalue()
  assert next(iter(scalars)).replace("_", " ") in text and path in text
  assert "1 ± 0" in text and "note" not in text


def test_nothing_measured_still_says_where_to_look():
  console = pipe()
  print_results({}, where={"report": "r"}, console=console)
  assert console.file.getvalue() == "report:   r\n"


def test_an_error_is_printed_as_it_is_and_on_the_standard_error(capsys):
  print_error(ValueError("no key [bold]lerning_rate[/bold]\n  did you mean: x"))
  captured = capsys.readouterr()
  assert captured.out == ""
  assert captured.err == (
    "error: no key [bold]lerning_rate[/bold]\n  did you mean: x\n"
  )


def test_an_ascii_pipe_gets_question_marks_and_no_crash():
  raw = io.BytesIO()
  file = io.TextIOWrapper(raw, encoding="ascii")
  print_message("1 ± 2", console=make_console(file))
  file.flush()
  assert raw.getvalue() == b"1 ? 2\n"


@pytest.mark.parametrize(
  ("seconds", "text"),
  [
    (0, "0:00"),
    (59.4, "0:59"),
    (59.6, "1:00"),
    (725, "12:05"),
    (3600, "1:00:00"),
    (172799, "47:59:59"),
    (190800, "2 d 5 h"),
  ],
)
def test_times(seconds, text):
  assert format_time(seconds) == text


def test_the_bar_is_left_in_order_by_an_error():
  console = screen()
  before = sys.stdout
  with (
    pytest.raises(KeyboardInterrupt),
    Progress(10, console=console, interactive=True) as progress,
  ):
    progress.update(5, {"loss": 1.0})
    raise KeyboardInterrupt
  assert sys.stdout is before
  assert console.file.getvalue().endswith("\x1b[?25h")  # the cursor is back
