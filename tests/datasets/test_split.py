from dataclasses import replace
from pathlib import Path

import pytest

from atrous.datasets.class_lists import classes_and_lookup
from atrous.datasets.png_masks import MaskFile
from atrous.datasets.split import hold_out, with_valid_split
from atrous.datasets.version import Dataset, Fault, Sample
from atrous.domain.errors import BadDataset

CLASSES, LOOKUP = classes_and_lookup(("background", "cat"))


def samples(count: int) -> tuple[Sample, ...]:
    return tuple(
        Sample(f"photo{index}", Path(f"{index}.jpg"), MaskFile(Path(f"{index}.png"), LOOKUP))
        for index in range(count)
    )


def names(chosen: tuple[Sample, ...]) -> set[str]:
    return {sample.name for sample in chosen}


def test_a_fifth_is_held_out_whatever_the_order() -> None:
    train, valid = hold_out(samples(50))
    assert (len(train), len(valid)) == (40, 10)
    assert names(train) | names(valid) == names(samples(50))
    assert not names(train) & names(valid)
    assert names(hold_out(samples(50)[::-1])[1]) == names(valid)
    assert names(hold_out(samples(50), seed=1)[1]) != names(valid)


def test_more_pictures_move_few_others() -> None:
    before, after = (names(hold_out(samples(count))[1]) for count in (100, 110))
    assert len(before - after) <= 4


def test_at_least_one_is_held_out_and_one_is_left() -> None:
    assert [len(part) for part in hold_out(samples(2))] == [1, 1]
    with pytest.raises(BadDataset, match="1 training samples"):
        hold_out(samples(1))


def test_dataset_without_valid_gets_one_with_a_note() -> None:
    fault = Fault("train", "x.json", "id outside the class list", "said", "photo3")
    faults = tuple(replace(fault, sample=f"photo{index}") for index in range(10))
    dataset = Dataset(
        Path("."), "coco", CLASSES, {"train": samples(10), "test": samples(1)}, faults=faults
    )
    parted = with_valid_split(dataset)
    assert {split: len(kept) for split, kept in parted.splits.items()} == {
        "train": 8,
        "valid": 2,
        "test": 1,
    }
    assert "2 of 10" in parted.notes[0]
    moved = {fault.sample for fault in parted.faults if fault.split == "valid"}
    assert moved == names(parted.splits["valid"])


def test_dataset_that_has_valid_or_no_train_stays_as_it_is() -> None:
    for splits in ({"train": samples(9), "valid": samples(1)}, {"test": samples(5)}, {}):
        dataset = Dataset(Path("."), "coco", CLASSES, splits)
        assert with_valid_split(dataset) is dataset
