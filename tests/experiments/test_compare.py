"""Compare: its numbers are each run's own, and what fails is named."""

import contextlib
import html.parser
import io
import json
import re
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from PIL import Image

from experiments import compare as experiment
from jgm import compare, noise
from jgm.cli.config import ROOT, load_config
from jgm.cli.console import make_console
from jgm.cli.errors import UserError
from jgm.cli.log import read_rows
from jgm.cli.opening import existing_run
from jgm.cli.run import evaluate, restore_whole
from jgm.compare.budget import steps_of
from jgm.compare.console import print_table
from jgm.compare.entry import Costs, Entry, Failure, check_measured_alike
from jgm.compare.evaluations import BY_SAMPLER, network_evaluations
from jgm.compare.methods import read_methods
from jgm.compare.publish import warnings_of
from jgm.compare.sheets import make_sheets
from jgm.compare.table import make_table, ranking
from jgm.compare.timing import StepTimer, TimeFile, Times
from jgm.core.experiment import Scalar
from jgm.core.program import Program
from jgm.eval.distance import make_distance
from jgm.samplers import make_sampling

ONES = ("ddpm:smoke", "dcgan:smoke")  # that come to something
BROKEN = "wgan:smoke"
FOLDERS = {name: name.replace(":", "-") for name in (*ONES, BROKEN)}
CHANGES = [f"{name}.parallel.data_devices=1" for name in FOLDERS]
CHANGES += [f"{BROKEN}.critic_optimizer.learning_rate=nan"]


def command(workdir, *arguments, methods, changes):
  compare.main(
    experiment.__doc__,
    [
      "--config=configs/compare.py:smoke",
      f"--workdir={workdir}",
      f"--config.methods={tuple(methods)!r}",
      f"--config.changes={tuple(changes)!r}",
      *arguments,
    ],
  )


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
  """The folder of a comparison of three methods, one of which breaks."""
  workdir = tmp_path_factory.mktemp("compare")
  with pytest.raises(SystemExit) as exit:
    command(workdir, methods=FOLDERS, changes=CHANGES)
  assert exit.value.code == 1
  return workdir


@pytest.fixture(scope="module")
def results(compared):
  return json.loads((compared / "results.json").read_text())


@pytest.fixture(scope="module")
def page(compared):
  return (compared / "report.html").read_text()


def own_evaluation(workdir, name):
  run = existing_run(epath.Path(workdir) / FOLDERS[name])
  return evaluate(run, restore_whole(run, print).state)[0]


@pytest.mark.parametrize("name", ONES)
def test_the_numbers_are_those_of_the_runs_own_evaluation(compared, results, name):
  scalars = own_evaluation(compared, name).scalars
  assert results["methods"][name]["scalars"] == {
    quantity: scalar._asdict() for quantity, scalar in scalars.items()
  }


def test_the_first_row_is_real_data_against_real_data(compared, page):
  run = existing_run(epath.Path(compared) / FOLDERS[ONES[0]])
  floor = make_distance(run.experiment.data, num_samples=32, seed=0, net_steps=20).floor
  rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td>", page)
  assert rows[0] == ("real data", f"{floor().mean:.3f}")
  assert [name for name, _ in rows[1:3]] == [f"<b>{name}</b>" for name in ONES]
  assert rows[3][0] == "knows nothing"


def test_what_fails_is_named_and_the_others_go_on(results, page):
  assert set(results["methods"]) == set(ONES)
  assert set(results["failures"]) == {BROKEN}
  assert "not finite" in results["failures"][BROKEN]
  assert re.search(rf"<b>{BROKEN}</b></td><td[^>]*>failed: step 1 is not finite", page)
  assert f"{BROKEN} failed: step 1" in page.split("Samples")[0]  # among the warnings


def test_costs_are_counted(results):
  ddpm, dcgan = (results["methods"][name]["costs"] for name in ONES)
  assert (ddpm["steps"], dcgan["steps"]) == (16, 8)
  assert ddpm["examples"] == dcgan["examples"] == 256  # the budget of `smoke`
  assert (ddpm["network_evaluations"], dcgan["network_evaluations"]) == (4, 1)
  for costs in (ddpm, dcgan):
    assert costs["training_seconds"] > 0 and costs["seconds_per_1000_samples"] > 0


def test_a_finished_run_is_not_trained_again(compared, tmp_path, monkeypatch):
  compared = shutil.copytree(compared, tmp_path / "compare")
  calls = []
  timing = StepTimer.timing
  monkeypatch.setattr(
    StepTimer,
    "timing",
    lambda self, program: timing(
      self,
      program._replace(run=lambda *a: calls.append(a) or program.run(*a)),
    ),
  )
  folder = compared / FOLDERS["dcgan:smoke"]
  before = read_rows(folder / "metrics.jsonl"), (folder / "time.json").read_text()
  command(compared, methods=["dcgan:smoke"], changes=[CHANGES[1]])
  assert not calls
  after = read_rows(folder / "metrics.jsonl"), (folder / "time.json").read_text()
  assert before == after
  assert set(json.loads((compared / "results.json").read_text())["methods"]) == {
    "dcgan:smoke"
  }


def test_a_run_beyond_the_budget_is_not_shown_under_it(compared, tmp_path):
  compared = shutil.copytree(compared, tmp_path / "compare")
  budget = "--config.budget.amount=128"
  with pytest.raises(SystemExit):
    command(compared, budget, methods=["dcgan:smoke"], changes=[CHANGES[1]])
  results = json.loads((compared / "results.json").read_text())
  assert not results["methods"]
  error = results["failures"]["dcgan:smoke"]
  assert error.startswith("dcgan:smoke has trained 8 steps in ")
  assert error.endswith("the budget is 4: give this comparison a --workdir of its own")


def test_the_page_is_one_file_with_a_sheet_of_each(page):
  parser = html.parser.HTMLParser()
  tags, sources = [], []
  parser.handle_starttag = lambda tag, attributes: (
    tags.append(tag),
    sources.extend(value for name, value in attributes if name == "src"),
  )
  parser.feed(page)
  assert not {"script", "link", "iframe"} & set(tags)
  assert len(sources) == 1 + len(ONES)
  assert all(source.startswith("data:image/png;base64,") for source in sources)
  assert page.count("$ ") == 1 and "$title" not in page  # the stylesheet's prompt


def test_the_poster_shows_all_sheets(compared):
  with Image.open(io.BytesIO((compared / "samples.png").read_bytes())) as picture:
    assert picture.size[0] == 3 * (4 * 52 - 4) + 2 * 24


# What is shown, of numbers that are made up.


def entry(name, distance=1.0, *, floor=0.5, seconds=40.0, samples=None, **scalars):
  found = {
    "frechet_distance": Scalar(distance, floor, 9.0, "lower", "a net"),
    **scalars,
  }
  costs = Costs(1000, 10, 1280, seconds, 80.0, 2.5, 20)
  samples = np.zeros((4, 8, 8, 1)) if samples is None else samples
  return Entry(name, name.title(), f"run {name}", found, (), samples, costs)


def test_the_best_is_first_and_nan_last():
  entries = [entry("a", 3.0), entry("b", float("nan")), entry("c", 1.0)]
  assert [e.name for e in ranking(entries, "frechet_distance")] == ["c", "a", "b"]
  shares = {"a": 0.4, "b": 0.6}
  entries = [
    entry(n, precision=Scalar(s, 0.9, 0.0, "higher")) for n, s in shares.items()
  ]
  assert [e.name for e in ranking(entries, "precision")] == ["b", "a"]


def test_a_likelihood_says_of_which_kind_it_is():
  entries = [
    entry("a", bits_per_dim_bound=Scalar(2.0, None, 4.0, note="at most")),
    entry("b", bits_per_dim_exact_dequantised=Scalar(1.9, None, 4.0, note="density")),
    entry("c", bits_per_dim_of_histogram=Scalar(2.4, None, 4.0)),
  ]
  table = make_table(entries, [Failure("d", "broke")], ["frechet_distance"])
  assert table.columns[1].name == "bits/dim"
  told = [(cell.text, cell.remark) for cell in (row.cells[1] for row in table.rows)]
  assert told == [
    *[("–", ""), ("2", "bound"), ("1.900", "dequantised"), ("–", ""), ("4", "")]
  ]
  assert table.notes == ["a net", "at most", "density"]


def test_without_entries_there_is_nothing_but_what_failed():
  table = make_table([], [Failure("d", "broke")], ["frechet_distance"])
  printed = io.StringIO()
  print_table(table, make_console(printed))
  assert not table.rows and "d failed: broke" in printed.getvalue()


def test_who_was_measured_otherwise_is_refused():
  check_measured_alike(entry("a"), entry("b", 2.0), ("frechet_distance",))
  with pytest.raises(UserError, match="b measured frechet_distance otherwise than a"):
    check_measured_alike(entry("a"), entry("b", floor=0.6), ("frechet_distance",))
  with pytest.raises(UserError, match="a does not measure"):
    check_measured_alike(entry("a"), entry("b"), ("recall",))


def test_who_trained_longer_than_the_budget_is_named():
  budget = load_config("configs/compare.py").budget
  entries = [entry("a", seconds=45.0), entry("b", seconds=60.0)]
  (warning,) = warnings_of(budget, entries)
  assert warning.startswith("b: it trained for 60 s") and "1.5 times" in warning


def test_sheets_are_of_one_size_and_real_examples_come_first():
  methods = read_methods(load_config("configs/compare.py:smoke"), epath.Path("unused"))
  entries = [entry("a"), entry("b", samples=np.ones((9, 8, 8, 1)))]
  sheets = make_sheets(entries, methods[0].data, "frechet_distance", 9)
  assert list(sheets) == ["real, held out: 0.5000", "a: 1", "b: 1"]
  assert len({sheet.shape for sheet in sheets.values()}) == 1


# The budget.


def test_a_budget_of_seconds_is_steps_at_the_pace_that_was_measured(tmp_path):
  config = load_config("configs/compare.py:smoke")
  (ddpm, _) = read_methods(config, epath.Path(tmp_path))
  config.budget.update(kind="seconds", amount=40.0)
  TimeFile(ddpm.workdir / "time.json").set_pace(0.25)
  assert steps_of(config.budget, ddpm) == 160
  TimeFile(ddpm.workdir / "time.json").add(Times(10, 2.0, 3.0))
  assert steps_of(config.budget, ddpm) == 160  # whatever its steps took afterwards


def test_examples_are_counted_in_all_slices_of_a_batch(tmp_path):
  config = load_config("configs/compare.py:smoke")
  config.methods = ("dcgan:smoke",)  # 32 a step, in two slices
  (method,) = read_methods(config, epath.Path(tmp_path))
  config.budget.update(kind="examples", amount=100.0)
  assert steps_of(config.budget, method) == 3
  assert not list(tmp_path.iterdir())


def test_the_call_that_compiles_is_not_timed(monkeypatch):
  clock = iter([0.0, 100.0, 100.0, 103.0, 110.0, 112.0])
  monkeypatch.setattr(
    "jgm.compare.timing.time",
    types.SimpleNamespace(perf_counter=lambda: next(clock), process_time=lambda: 1.0),
  )
  nothing = dict.fromkeys(Program._fields)
  timer = StepTimer()
  program = timer.timing(Program(**nothing | {"run": lambda *a: a}))
  assert timer.times.of(20) is None
  for _ in range(3):
    program.run(0, 0, 10)
  assert timer.times == Times(20, 5.0, 0.0)
  assert timer.times.of(40).seconds == 10.0  # the first ten at the others' pace


@pytest.mark.parametrize("sampler", BY_SAMPLER)
@pytest.mark.parametrize("schedule", ["discrete", "continuous"])
def test_evaluations_are_as_many_as_a_denoiser_counts(sampler, schedule):
  config = load_config("configs/score_sde.py:smoke")
  config.sample.update(sampler=sampler, num_steps=3)
  config.samplers.annealed_langevin.update(steps_per_level=2, step_size=1e-5)
  config.samplers.predictor_corrector.num_corrections = 2
  calls = []

  def denoiser(params, label):
    return lambda x_t, t: calls.append(t) or 0.5 * x_t

  path = {"discrete": noise.cosine_schedule(20), "continuous": noise.vp_schedule()}[
    schedule
  ]
  sampling = make_sampling(denoiser, path, (2,), config.samplers, **config.sample)
  state = types.SimpleNamespace(ema_params=jnp.zeros(()))
  with jax.disable_jit():  # a scan is then a loop of Python's
    sampling.sample(state, jax.random.key(0), config.sample.chunk_size)
  assert len(calls) == network_evaluations(config)


# One pass of a generator; of S = 4 steps, as many as the sampler's; None: not known.
EVALUATIONS = {
  **dict.fromkeys(("cgan", "dcgan", "gan", "sngan", "wgan", "wgan_gp"), 1),
  "sinkhorn_gan": 1,
  **dict.fromkeys(("ddpm", "improved_ddpm", "score_sde"), 4),
  "ncsn": 5,
  "flow_matching": 7,
  "guided_diffusion": None,
  "score_matching": None,  # a chain of its own
}


def test_all_that_can_be_compared_tell_their_evaluations_or_nothing():
  config = load_config("configs/compare.py:smoke")
  config.eval.net_steps = None  # score_matching trains no nets to be measured by
  found = {}
  for file in (ROOT / "configs").glob("[!_]*.py"):
    config.methods = (f"{file.stem}:smoke",)
    with contextlib.suppress(UserError):
      (method,) = read_methods(config, epath.Path("unused"))
      found[file.stem] = network_evaluations(method.config)
  assert found == EVALUATIONS


# What bad input gets, before anything is trained.


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--config.methods=('dpm',)"], "there is no config configs/dpm.py. Did you mean"),
    (["--config.methods=('ddpm:smok',)"], "no preset 'smok'"),
    (["--config.methods=('compare',)"], "trains nothing"),
    (["--config.methods=('ddpm', 'ddpm')"], "one or more, each once"),
    (["--config.methods=('ddpm', 'gan')"], "must be of the same data"),
    (["--config.methods=('bandit',)"], "there is no config key"),
    (
      ["--config.methods=('reinforce:smoke',)", "--config.eval.net_steps=none"],
      "neither images nor points in the plane",
    ),
    (["--config.changes=('dgan:smoke.seed=1',)"], "Did you mean 'dcgan:smoke'?"),
    (["--config.changes=('ddpm:smoke.sed=1',)"], "Did you mean 'seed'?"),
    (["--config.changes=('ddpm:smoke.num_seeds=2',)"], "one seed each"),
    (["--config.budget.kind=steps"], "it is one of seconds, examples"),
    (["--config.budget.amount=0"], "it is above 0"),
    (["--config.num_shown=0"], "it is at least 1"),
    (["--config.quantities=()"], "names one number or more"),
    (["--workdr=there"], "there is no flag --workdr. Did you mean 'workdir'?"),
    (["there"], "flags begin with --"),
  ],
)
def test_what_cannot_be_is_refused_at_once(arguments, message, tmp_path, capsys):
  workdir = tmp_path / "compare"
  smoke = ["--config=configs/compare.py:smoke", f"--workdir={workdir}"]
  with pytest.raises(SystemExit) as exit:
    compare.main(experiment.__doc__, [*smoke, *arguments])
  assert exit.value.code == 1
  error = capsys.readouterr().err
  assert error.startswith("error: ") and message in error
  assert not workdir.exists()


def test_help_says_what_it_is(capsys):
  compare.main(experiment.__doc__, ["--help"])
  printed = capsys.readouterr().out
  assert "under the same budget" in printed and "--workdir" in printed
