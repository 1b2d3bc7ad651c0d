import jax
import jax.numpy as jnp
import pytest
from etils import epath
from jax.profiler import ProfileData

from jgm.cli.errors import UserError
from jgm.cli.profile import Profiler, parse_steps
from jgm.core.program import Program


@jax.jit
def a_named_program(state, arrays, num_steps):
  return state + num_steps


PROGRAM = Program._make([None] * len(Program._fields))._replace(run=a_named_program)


def train(path, steps, lengths, first=0, fail_after=None):
  """Calls of these lengths, in steps, from `first` on; returns the last state."""
  state = jnp.int32(first)
  with Profiler(path, steps) as profiler:
    program = profiler.over(PROGRAM, first)
    for number, length in enumerate(lengths):
      if number == fail_after:
        raise KeyError("from outside")
      state = program.run(state, {}, length)
  return state


def calls_in(path):
  """The first steps of the calls in the trace, which holds the program by its name."""
  (file,) = path.glob("plugins/profile/*/*.xplane.pb")
  planes = ProfileData.from_file(str(file)).planes
  events = [event for plane in planes for line in plane.lines for event in line.events]
  calls = sorted(dict(e.stats)["step_num"] for e in events if e.name == "call")
  assert any(event.name == "PjitFunction(a_named_program)" for event in events)
  return calls


@pytest.mark.parametrize(
  ("steps", "traced"),
  [((5, 12), [5, 9]), ((4, 4), [1]), ((6, 7), [5]), ((10, 99), [9, 13])],
)
def test_the_calls_that_overlap_the_steps_are_traced(tmp_path, steps, traced, capsys):
  # Steps 1-4, 5-8, 9-12 and 13-16, by four calls.
  assert train(tmp_path / "profile", steps, [4, 4, 4, 4]) == 16
  assert calls_in(tmp_path / "profile") == traced
  assert f"xprof --logdir={tmp_path}/profile" in capsys.readouterr().out


def test_a_resumed_run_counts_from_where_it_begins(tmp_path):
  train(tmp_path, (22, 22), [1, 1, 2], first=20)
  assert calls_in(tmp_path) == [22]


def test_an_error_within_the_range_still_leaves_the_trace(tmp_path):
  with pytest.raises(KeyError, match="from outside"):
    train(tmp_path, (1, 100), [2, 2, 2], fail_after=2)
  assert calls_in(tmp_path) == [1, 3]


@pytest.mark.parametrize("steps", [(9, 9), (100, 120)])
def test_steps_that_are_not_reached_leave_nothing(tmp_path, steps, capsys):
  train(tmp_path, steps, [4, 4])
  assert not list(tmp_path.iterdir())
  warned = f"warning: no profile, no step of {steps[0]}-{steps[1]} was taken\n"
  assert capsys.readouterr().out == warned


def test_without_steps_nothing_is_changed_or_said(tmp_path, capsys):
  with Profiler(tmp_path, None) as profiler:
    assert profiler.over(PROGRAM, 0) is PROGRAM
  assert not list(tmp_path.iterdir()) and capsys.readouterr().out == ""


def test_a_trace_that_cannot_be_written_does_not_end_the_run(tmp_path, capsys):
  (tmp_path / "profile").write_text("a file is in the way")
  assert train(tmp_path / "profile", (1, 1), [1, 1]) == 2
  assert capsys.readouterr().out.startswith("warning: no profile: ")


def test_a_bucket_reaches_jax_as_it_is(monkeypatch):
  given = []
  monkeypatch.setattr(jax.profiler, "start_trace", given.append)
  monkeypatch.setattr(jax.profiler, "stop_trace", lambda: None)
  train(epath.Path("gs://bucket/run") / "profile", (1, 1), [1])
  assert given == ["gs://bucket/run/profile"]


def test_only_the_first_process_traces(tmp_path, monkeypatch):
  monkeypatch.setattr(jax, "process_index", lambda: 1)
  train(tmp_path, (1, 1), [1])
  assert not list(tmp_path.iterdir())


def test_steps_are_two_numbers():
  assert parse_steps("100-120") == (100, 120) and parse_steps("7-7") == (7, 7)
  for wrong in ("", "100", "120-100", "0-5", "-5-7", "1-2-3", "1:2", "a-b", "1-"):
    with pytest.raises(UserError, match="for example --profile_steps=100-120"):
      parse_steps(wrong)
