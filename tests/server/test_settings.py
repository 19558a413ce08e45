import dataclasses

import pytest

from atrous.domain.errors import BadInput
from atrous.server.settings import ServerSettings, is_loopback, settings_from_environment


def test_every_setting_has_an_environment_name() -> None:
    text = {bool: "true", int: "7", float: "2.5", str: "auto"}
    environment = {
        field.name.upper(): text[type(field.default)]
        for field in dataclasses.fields(ServerSettings)
    }
    environment.update(HOST="0.0.0.0", LOG_LEVEL="DEBUG", LOG_FORMAT="json")
    environment.update(CONFIDENCE_LOWER_BOUND_OOM_PREVENTION="0.5")
    environment.update(OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    settings = settings_from_environment(environment)
    assert settings.allow_url_to_non_global_addresses is True
    assert settings.max_active_models == 7
    assert settings.url_timeout_s == 2.5
    assert settings.host == "0.0.0.0"


def test_keys_can_not_be_switched_off_by_the_environment() -> None:
    assert settings_from_environment({"REQUIRE_KEY": "false"}).require_key


def test_options_win_over_the_environment() -> None:
    assert settings_from_environment({"PORT": "1"}, port=2).port == 2
    assert settings_from_environment({"PORT": "1"}, port=None).port == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"PORT": "x"},
        {"PORT": "65536"},
        {"ALLOW_URL_INPUT": "maybe"},
        {"MAX_ACTIVE_MODELS": "0"},
        {"ENGINE": "tensorrt"},
        {"PRECISION": "fp4"},
        {"URL_TIMEOUT_S": ""},
        {"LOG_LEVEL": "LOUD"},
        {"LOG_FORMAT": "xml"},
        {"REQUEST_TIMEOUT_S": "0"},
        {"REQUEST_TIMEOUT_S": "nan"},
        {"MODEL_MEMORY_BYTES": "0"},
        {"MAX_WAITING_REQUESTS": "-1"},
        {"MAX_IMAGE_URL_REDIRECTS": "-1"},
        {"URL_TIMEOUT_S": "0"},
        {"MAX_BODY_BYTES": "0"},
        {"MAX_WAITING_BYTES": "1000"},
        {"PINNED_MODELS": "a/1,b/1", "MAX_ACTIVE_MODELS": "1"},
        {"ENABLE_HTTPS": "true"},
        {"CORRELATION_ID_HEADER": "X-Id: 1"},
        {"CORRELATION_ID_HEADER": ""},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_TRACES_EXPORTER": "jaeger"},
    ],
)
def test_nonsense_is_refused_by_name(environment: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=next(iter(environment)) + "|port"):
        settings_from_environment(environment)


def test_the_kind_of_value_is_told_in_words() -> None:
    for name, value, expected in (
        ("PORT", "abc", "a whole number"),
        ("ENABLE_HTTPS", "maybe", "true or false"),
        ("URL_TIMEOUT_S", "soon", "a number"),
    ):
        with pytest.raises(BadInput, match=f"{name}='{value}' can't be read; give {expected}"):
            settings_from_environment({name: value})


def test_one_request_always_fits_into_what_may_wait() -> None:
    with pytest.raises(BadInput, match="MAX_WAITING_BYTES=536870912 is less than the 1073741824"):
        settings_from_environment({"MAX_BODY_BYTES": str(1024**3)})
    with pytest.raises(BadInput, match="MAX_URL_BYTES"):
        settings_from_environment({"MAX_URL_BYTES": str(1024**3)})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com", "10.0.0.1", "127.a.com"])
def test_no_auth_needs_a_loopback_address(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(BadInput, match="no-auth"):
        settings_from_environment({}, host=host, require_key=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_no_auth_on_loopback(host: str) -> None:
    assert not settings_from_environment({}, host=host, require_key=False).require_key


@pytest.mark.parametrize("text", ["1.5", "-0.1", "nan"])
def test_the_floor_of_confidence_is_a_probability(text: str) -> None:
    with pytest.raises(BadInput, match="CONFIDENCE_LOWER_BOUND_OOM_PREVENTION"):
        settings_from_environment({"CONFIDENCE_LOWER_BOUND_OOM_PREVENTION": text})
