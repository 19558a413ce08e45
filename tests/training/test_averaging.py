from types import ModuleType

import torch

from atrous.deeplab.network import DeepLab, build_network
from atrous.training.averaging import WeightAverage


def network(tiny: ModuleType) -> DeepLab:
    torch.manual_seed(0)
    return build_network("deeplabv3plus", tiny.BACKBONE, 3)


def shift(trained: DeepLab, by: float) -> None:
    with torch.no_grad():
        for value in trained.state_dict().values():
            value += by if value.dtype.is_floating_point else 1


def test_follows_the_plain_formula(tiny: ModuleType) -> None:
    trained = network(tiny)
    average = WeightAverage(trained, decay=0.4)
    expected = {key: value.double() for key, value in trained.state_dict().items()}
    for update, decay in enumerate((2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.4, 0.4), start=1):
        shift(trained, by=0.1 * update)
        average.update(trained)
        for key, value in trained.state_dict().items():
            if value.dtype.is_floating_point:
                expected[key] = decay * expected[key] + (1 - decay) * value.double()
            else:  # the counters of batch norm
                expected[key] = value.double()
    assert average.updates == 6
    for key, value in average.network.state_dict().items():
        torch.testing.assert_close(value.double(), expected[key], rtol=1e-4, atol=1e-5)


def test_the_copy_is_its_own(tiny: ModuleType) -> None:
    trained = network(tiny).train()
    average = WeightAverage(trained, decay=0.9)
    before = {key: value.clone() for key, value in average.network.state_dict().items()}
    shift(trained, by=1.0)
    assert all(
        torch.equal(value, before[key]) for key, value in average.network.state_dict().items()
    )
    assert not average.network.training
    assert trained.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


def test_no_decay_is_the_network_itself(tiny: ModuleType) -> None:
    trained = network(tiny)
    average = WeightAverage(trained, decay=0.0)
    shift(trained, by=0.3)
    average.update(trained)
    for key, value in trained.state_dict().items():
        assert torch.equal(average.network.state_dict()[key], value)
