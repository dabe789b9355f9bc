"""Which keys to an object store cannot be sent, said without them; and texts in which they do not stand."""

from __future__ import annotations

import pytest

from pfd_operator.contract.s3_keys import unusable_key, without_keys

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY="}


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("FwoGZXIvYXdz\n", "ends in a line break"),
        ("FwoGZXIvYXdz\r\n", "ends in a line break"),
        (" FwoGZXIvYXdz", "begins or ends with a blank"),
        ("FwoGZXIvYXdz\t", "begins or ends with a blank"),
        ("FwoGZX\nIvYXdz", "has a character in it that cannot be printed"),
        ("F\0w\0o\0G\0Z\0X\0", "has a character in it that cannot be printed"),
        ("\udcff\udcfeFwoGZX", "has a character in it that cannot be printed"),
    ],
)
def test_a_key_that_cannot_be_sent_is_named_without_its_value(name: str, value: str, said: str) -> None:
    fault = unusable_key(KEYS | {name: value})
    assert fault is not None and fault.startswith(f"{name} {said}")
    assert "FwoG" not in fault and not [each for each in KEYS.values() if each in fault]


PHRASE = {"AWS_SECRET_ACCESS_KEY": "a pass phrase"}


@pytest.mark.parametrize("given", [{}, KEYS, KEYS | {"AWS_SESSION_TOKEN": ""}, PHRASE])
def test_keys_that_a_server_may_know_are_left_to_it(given: dict[str, str]) -> None:
    assert unusable_key(given) is None


def test_a_text_has_the_names_of_keys_in_their_place() -> None:
    given = KEYS | {"AWS_SESSION_TOKEN": "FwoGZXIvYXdz\nIQoJb3JpZ2lu\n"}
    text = f"{KEYS['AWS_ACCESS_KEY_ID']}/{KEYS['AWS_SECRET_ACCESS_KEY']} {given['AWS_SESSION_TOKEN']!r}"
    expected = r"[AWS_ACCESS_KEY_ID]/[AWS_SECRET_ACCESS_KEY] '[AWS_SESSION_TOKEN]\n[AWS_SESSION_TOKEN]\n'"
    assert without_keys(text, given) == expected


def test_a_key_that_is_a_part_of_another_leaves_nothing_of_that_one() -> None:
    given = {"AWS_ACCESS_KEY_ID": "A" * 16, "AWS_SECRET_ACCESS_KEY": "A" * 40}
    assert without_keys("A" * 40, given) == "[AWS_SECRET_ACCESS_KEY]"


def test_short_names_of_users_stay_in_messages() -> None:
    given = {"AWS_ACCESS_KEY_ID": "training", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}
    assert without_keys("s3://training/k", given) == "s3://training/k"
