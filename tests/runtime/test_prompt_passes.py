"""What goes between passes and stages is checked, and threads don't disturb each other.

What the passes compute is compared in test_prompt_kernel.py and test_mask_kernel.py.
"""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest

from atrous.domain.errors import BadPackage
from atrous.runtime import prompt_passes
from atrous.runtime.machine_code import MachineCode
from atrous.runtime.pixel_classes import PIXELS
from atrous.runtime.prompt_passes import (
    OUTPUT_TOKENS,
    PASSES,
    PROGRAMS,
    PROMPTS_PER_RUN,
    STAGES,
    TERMS,
    Arrays,
    PromptPasses,
    stage_shapes,
    term_shapes,
    work_sizes,
)

# What the compiling process imports besides, none of which makes code
NO_CODE = {"machine_code", "engine_names", "process_memory"}
ANSWERS = ("seen_1", "seen_2", "shares_2", "seen_3", "shares_3", "scale_3", "logits")
BESIDE = 8192  # numbers: more than a row of any array
OUTPUTS = [(number, name) for number, stage in enumerate(STAGES) for name in stage.outputs]


@pytest.fixture(scope="module")
def passes() -> PromptPasses:
    return PromptPasses("fp32")


@pytest.fixture(scope="module")
def photo(passes: PromptPasses, prompt_reference: ModuleType) -> Arrays:
    return passes.photo(list(prompt_reference.terms().values()))


def ask(
    passes: PromptPasses, photo: Arrays, prompts: int, stages: prompt_passes.RunStage
) -> np.ndarray:
    coords, labels = np.zeros((prompts, 2, 2), np.float32), np.ones((prompts, 2), np.int64)
    return passes.answer(photo, coords, labels, stages)[0]


def test_terms_are_in_the_order_of_their_shapes() -> None:
    assert tuple(term_shapes()) == TERMS


def test_the_machine_code_has_all_passes() -> None:
    kernels = PROGRAMS["fp32"].load().result()
    assert tuple(kernels) == PASSES
    assert all(map(callable, kernels.values()))


def test_stages_are_given_only_what_there_is_before_them() -> None:
    known = {"point_coords", "point_labels"}
    seen = [{"seen_1"}, {"seen_2", "shares_2"}, {"seen_3", "shares_3", "scale_3"}, set()]
    for stage, by_pass in zip(STAGES, seen, strict=True):
        assert set(stage.inputs) <= known
        assert known.isdisjoint(stage.outputs)
        known |= {*stage.outputs, *by_pass}
    assert known == set(stage_shapes(1, 1)) - {"logits"}


def test_names_of_arrays_are_told_apart() -> None:
    names = [*TERMS, *stage_shapes(1, 1), *work_sizes(1, 1)]
    assert len(set(names)) == len(names)


def test_stages_are_run_one_after_the_other(
    passes: PromptPasses, photo: Arrays, prompt_reference: ModuleType
) -> None:
    coords = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    labels = np.array([[1, 0], [0, 1], [2, 3]])
    stages = prompt_reference.GivenStages(prompt_reference.outputs(3, 2))
    _, predicted_iou = passes.answer(photo, coords, labels, stages)
    assert stages.asked == [0, 1, 2, 3]
    np.testing.assert_array_equal(stages.kept["point_coords"], coords)
    np.testing.assert_array_equal(stages.kept["point_labels"], labels)
    given = prompt_reference.outputs(3, 2)
    for name in ("tokens", "said_1", "said_2", "said_3", "told_value_1", "told_value_2"):
        np.testing.assert_array_equal(stages.kept[name], given[name])
    np.testing.assert_array_equal(predicted_iou, given["predicted_iou"])


@pytest.mark.parametrize("name", TERMS)
def test_a_term_of_another_size_is_refused(
    name: str, passes: PromptPasses, prompt_reference: ModuleType
) -> None:
    terms = dict(prompt_reference.terms())
    terms[name] = terms[name][:-1]
    with pytest.raises(BadPackage, match=rf"gives {name} as"):
        passes.photo(list(terms.values()))


def test_too_few_terms_are_refused(passes: PromptPasses, prompt_reference: ModuleType) -> None:
    with pytest.raises(ValueError, match="shorter"):
        passes.photo(list(prompt_reference.terms().values())[:-1])


@pytest.mark.parametrize(("number", "name"), OUTPUTS)
def test_an_output_of_another_size_is_refused(
    number: int, name: str, passes: PromptPasses, photo: Arrays, prompt_reference: ModuleType
) -> None:
    given = dict(prompt_reference.outputs(3, 2))
    given[name] = given[name][:2]
    stages = prompt_reference.GivenStages(given)
    with pytest.raises(BadPackage, match=rf"gives {name} as"):
        ask(passes, photo, 3, stages)
    assert stages.asked == list(range(number + 1))


@pytest.mark.parametrize("number", range(4))
def test_nothing_is_answered_where_a_stage_gives_too_few_outputs(
    number: int, passes: PromptPasses, photo: Arrays, prompt_reference: ModuleType
) -> None:
    stages = prompt_reference.GivenStages(prompt_reference.outputs(3, 2))

    def run(stage: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(stages(stage, inputs))[: -1 if stage == number else None]

    with pytest.raises(ValueError, match="shorter"):
        ask(passes, photo, 3, run)


def test_more_prompts_than_there_is_space_for_are_refused(
    passes: PromptPasses, photo: Arrays, prompt_reference: ModuleType
) -> None:
    most, more = PROMPTS_PER_RUN, PROMPTS_PER_RUN + 1
    stages = prompt_reference.GivenStages(prompt_reference.outputs(more, 2))
    with pytest.raises(ValueError, match=f"{more} prompts at once; expected at most {most}"):
        ask(passes, photo, more, stages)
    assert stages.asked == []


def test_as_many_prompts_as_there_is_space_for(
    precision: str, prompt_reference: ModuleType
) -> None:
    together = prompt_reference.outputs(PROMPTS_PER_RUN, 1)
    passes = PromptPasses(precision)
    answers = prompt_reference.answer(passes, prompt_reference.terms(), together)
    for prompt in (0, PROMPTS_PER_RUN - 1):
        alone = {name: array[prompt : prompt + 1] for name, array in together.items()}
        of_one = prompt_reference.answer(passes, prompt_reference.terms(), alone)
        for name in ANSWERS:
            np.testing.assert_array_equal(of_one[name][0], answers[name][prompt])


def test_space_is_used_again_and_makes_no_difference(prompt_reference: ModuleType) -> None:
    passes, terms = PromptPasses("fp32"), prompt_reference.terms()
    sizes = [(3, 2), (3, 2), (1, 2), (3, 4), (3, 2)]
    for prompts, points in sizes:
        given = prompt_reference.outputs(prompts, points)
        found = prompt_reference.answer(passes, terms, given)
        for name in ANSWERS:
            expected = prompt_reference.found("fp32", prompts, points)[name]
            np.testing.assert_array_equal(found[name], expected)
        [work] = passes._idle
        for array in work.arrays.values():
            array.fill(np.nan)
    assert work.tokens == 4 + OUTPUT_TOKENS


@pytest.mark.parametrize("points", [1, 2, 4])
def test_nothing_beside_the_space_is_written_or_read(
    points: int, precision: str, prompt_reference: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = work_sizes(PROMPTS_PER_RUN, points + OUTPUT_TOKENS)
    larger = {name: size + BESIDE for name, size in sizes.items()}
    monkeypatch.setattr(prompt_passes, "work_sizes", lambda prompts, tokens: larger)
    given, passes = prompt_reference.outputs(PROMPTS_PER_RUN, points), PromptPasses(precision)
    before = prompt_reference.answer(passes, prompt_reference.terms(), given)
    [work] = passes._idle
    for array in work.arrays.values():
        array.fill(np.nan)
    after = prompt_reference.answer(passes, prompt_reference.terms(), given)
    for name in ANSWERS:
        np.testing.assert_array_equal(after[name], before[name])
    beside = {name: work.arrays[name][size:] for name, size in sizes.items()}
    assert [name for name, array in beside.items() if not np.isnan(array).all()] == []


def test_answers_are_not_written_over_by_later_ones(
    passes: PromptPasses, photo: Arrays, prompt_reference: ModuleType
) -> None:
    given = prompt_reference.outputs(3, 2)
    first = ask(passes, photo, 3, prompt_reference.GivenStages(given))
    before = first.copy()
    others = {**given, "mask_weights": 2 * given["mask_weights"]}
    second = ask(passes, photo, 3, prompt_reference.GivenStages(others))
    np.testing.assert_array_equal(first, before)
    np.testing.assert_allclose(second, 2 * before, rtol=1e-5, atol=1e-5)


def test_threads_at_once_answer_as_one_after_the_other(
    precision: str, prompt_reference: ModuleType
) -> None:
    passes, terms = PromptPasses(precision), prompt_reference.terms()
    sizes = [(3, 2), (1, 2), (3, 4), (1, 4)] * 3
    given = [prompt_reference.outputs(*size) for size in sizes]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda one: prompt_reference.answer(passes, terms, one), given))
    for size, answer in zip(sizes, answers, strict=True):
        for name in ANSWERS:
            expected = prompt_reference.found(precision, *size)[name]
            np.testing.assert_array_equal(answer[name], expected)


@pytest.mark.parametrize(
    ("features", "expected"),
    [("+avx2,+avx512bf16,+fma", "bf16"), ("+avx2,-avx512bf16,+fma", "fp32"), ("+avx2", "fp32")],
)
def test_bf16_where_the_processor_multiplies_such(
    features: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = {name: SilentProgram() for name in ("fp32", "bf16")}
    monkeypatch.setattr(prompt_passes, "PROGRAMS", programs)
    monkeypatch.setattr(prompt_passes, "host_features", lambda: features)
    assert PromptPasses("bf16").precision == expected
    assert [name for name, program in programs.items() if program.loaded] == [expected]
    assert PromptPasses("fp32").precision == "fp32"


class SilentProgram:
    """Loads nothing."""

    loaded = False

    def load(self, folder: object) -> None:
        self.loaded = True


def test_arrays_of_other_types_and_orders_are_read_as_they_are(
    prompt_reference: ModuleType,
) -> None:
    given, terms = prompt_reference.outputs(3, 2), prompt_reference.terms()
    wide = {name: np.asfortranarray(array.astype(np.float64)) for name, array in given.items()}
    of_wide = {name: np.asfortranarray(array.astype(np.float64)) for name, array in terms.items()}
    found = prompt_reference.answer(PromptPasses("fp32"), of_wide, wide)
    for name in ANSWERS:
        expected = prompt_reference.found("fp32", 3, 2)[name]
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("program", [PROGRAMS["bf16"], PIXELS], ids=lambda one: one.module)
def test_code_depends_on_all_the_sources_that_it_is_made_of(program: MachineCode) -> None:
    """Else an update of one of them would silently run what was compiled before."""
    script = (
        f"import sys, atrous.runtime.{program.module}\n"
        "print(*[name for name in sys.modules if name.startswith('atrous.runtime.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    imported = {name.rpartition(".")[2] for name in done.stdout.split()}
    assert program.module in imported
    assert imported - NO_CODE <= {path.stem for path in program._paths}
