"""Device addresses, good and hostile."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.devices import address
from lading.devices.address import (
    Board,
    Emulated,
    OpenSsh,
    Serial,
    SerialRfc2217,
    SerialSmp,
    SerialSocket,
    Ssh,
    UdpSmp,
)
from lading.errors import AddressError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ssh://raspberrypi.local", Ssh("raspberrypi.local")),
        ("ssh://pi@host:2222?home=/opt/lading", Ssh("host", "pi", 2222, "/opt/lading")),
        ("ssh://pi@[fe80::1%eth0]:22", Ssh("fe80::1%eth0", "pi", 22)),
        ("SSH://HOST", Ssh("HOST")),
        ("ssh+openssh://a@corp@alias_1", OpenSsh("alias_1", "a@corp")),
        ("serial:///dev/ttyUSB0", Serial("/dev/ttyUSB0", 115200)),
        (
            "serial:///dev/serial/by-id/usb-x%23y?baud=9600&user=pi&rtscts=1&home=~/l%20d",
            Serial("/dev/serial/by-id/usb-x#y", 9600, "pi", rtscts=True, home="~/l d"),
        ),
        ("serial+socket://127.0.0.1:5000?user=root", SerialSocket("127.0.0.1", 5000, "root")),
        ("serial+rfc2217://h:2217?baud=57600", SerialRfc2217("h", 2217, 57600)),
        (
            "serial+smp:///dev/ttyACM0?root=/lfs&firmware=tflm-int8",
            SerialSmp("/dev/ttyACM0", 115200, "/lfs", "tflm-int8"),
        ),
        ("udp+smp://192.0.2.7", UdpSmp("192.0.2.7", 1337)),
        ("udp+smp://[::1]:9", UdpSmp("::1", 9)),
        ("board://debian-arm64", Board("debian-arm64")),
        ("board://debian-arm64#1", Board("debian-arm64", "1")),
        ("emulated://raspberry-pi-4b", Emulated("raspberry-pi-4b")),
        (
            "emulated://rasp?firmware=wamr-2.4&state=./st%26ate&name=b",
            Emulated("rasp", "wamr-2.4", "./st&ate", "b"),
        ),
    ],
)
def test_every_pinned_form_is_read_and_written_back(text: str, meant: address.Address) -> None:
    assert address.parse(text) == meant
    assert address.parse(str(meant)) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raspberrypi", "no 'scheme://'"),
        ("", "no 'scheme://'"),
        ("sssh://x", "no scheme"),
        ("ssh://", "host is missing"),
        ("ssh://host:0", "not a port"),
        ("ssh://host:65536", "not a port"),
        ("ssh://host:٣", "not a port"),
        ("ssh://-oProxyCommand=id", "cannot be the name of a host"),
        ("ssh://-l@host", "user's name"),
        ("ssh://host/path", "cannot be the name of a host"),
        ("ssh://@host", "user's name"),
        ("ssh://[::1", "IPv6"),
        ("ssh://[::g]", "not an IPv6 address"),
        ("ssh://[::1]22", "IPv6"),
        ("ssh://::1", "too many ':'"),
        ("ssh://host?hoem=/x", "unknown key 'hoem'"),
        ("ssh://host?home=/a&home=/b", "there twice"),
        ("ssh://host?home", "not 'key=value'"),
        ("ssh://host?home=", "not 'key=value'"),
        ("ssh://host?home=%0a", "control character"),
        ("ssh://host?home=%ff", "not UTF-8"),
        ("ssh://host?home=%zz", "two hexadecimal digits"),
        ("ssh://host?home=-rf", "starts with '-'"),
        ("ssh://host#1", "'#' has no meaning"),
        ("ssh://ho\nst", "cannot be printed"),
        ("serial://dev/ttyUSB0", "path of the port is missing"),
        ("serial:///dev/ttyUSB0?baud=fast", "not a rate"),
        ("serial:///dev/ttyUSB0?baud=1", "not a rate"),
        ("serial:///dev/ttyUSB0?rtscts=maybe", "neither 0 nor 1"),
        ("serial:///dev/ttyUSB0?user=-x", "cannot be a user's name"),
        ("serial+socket://host", "port is missing"),
        ("serial+socket://host:1?baud=9600", "unknown key 'baud'"),
        ("board://", "name is missing"),
        ("board://a#", "UART's name is missing"),
        ("emulated://", "name is missing"),
        ("emulated://../../etc", "cannot be the name of a target"),
        ("emulated://pi?name=../x", "cannot be the name of a name"),
        ("emulated://pi?firmware=a/b", "cannot be the name of a firmware"),
        ("ssh://" + "a" * 5000, "longer than"),
        ("ssh://" + "a" * 1000, "cannot be the name of a host"),
    ],
)
def test_a_wrong_address_is_refused_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(AddressError) as caught:
        address.parse(text)
    assert words in caught.value.message
    assert caught.value.remedy
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


def test_a_password_is_refused_and_never_repeated() -> None:
    for text in ("ssh://pi:hunter2@host", "ssh://pi:hunter2@host?baud=1", "sssh://pi:hunter2@host", "ssh://:hunter2@h"):
        with pytest.raises(AddressError) as caught:
            address.parse(text)
        assert "hunter2" not in caught.value.message + caught.value.remedy


def test_a_near_scheme_is_suggested() -> None:
    with pytest.raises(AddressError) as caught:
        address.parse("emulate://raspberry-pi-4b")
    assert caught.value.remedy == "did you mean emulated://?"


WORD = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=8)
PATH = st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=12)
OPTIONAL_PATH = st.none() | PATH.filter(lambda p: not p.startswith("-"))
ID = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
HOST = WORD | st.ip_addresses(v=6).map(str) | st.just("fe80::2%wlan0")
PORT = st.integers(1, 65535)
BAUD = st.integers(50, 20_000_000)
USER = st.none() | WORD
TTY = PATH.map(lambda p: "/" + p)

ADDRESSES: st.SearchStrategy[address.Address] = st.one_of(
    st.builds(Ssh, HOST, USER, st.none() | PORT, OPTIONAL_PATH),
    st.builds(OpenSsh, HOST, USER, st.none() | PORT, OPTIONAL_PATH),
    st.builds(Serial, TTY, BAUD, USER, st.booleans(), OPTIONAL_PATH),
    st.builds(SerialSocket, HOST, PORT, USER, OPTIONAL_PATH),
    st.builds(SerialRfc2217, HOST, PORT, BAUD, USER, OPTIONAL_PATH),
    st.builds(SerialSmp, TTY, BAUD, OPTIONAL_PATH, st.none() | ID),
    st.builds(UdpSmp, HOST, PORT, OPTIONAL_PATH, st.none() | ID),
    st.builds(Board, ID, st.none() | ID),
    st.builds(Emulated, ID, st.none() | ID, OPTIONAL_PATH, st.none() | ID),
)


@given(ADDRESSES)
def test_what_is_written_is_read_back(meant: address.Address) -> None:
    assert address.parse(str(meant)) == meant


@given(
    st.text(max_size=60)
    | st.builds(
        lambda scheme, rest: f"{scheme}://{rest}",
        st.sampled_from(address.SCHEMES),
        st.text(st.sampled_from("ab1:/@[]%2f?=&#.-~é\x00\n") | st.characters(), max_size=40),
    )
)
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = address.parse(text)
    except AddressError as error:
        assert error.remedy  # noqa: PT017
    else:
        assert address.parse(str(found)) == found
