"""IP addresses that are someone's. Versions and sections look the same: these are told apart by what stands before."""

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from demiurgic.curate.pii.detector import Detector, begins, by_pattern
from demiurgic.curate.pii.draw import Draw

OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
# Not behind the comma of a number (1,2.3.4.5), but behind that of another address.
NOT_AFTER_A_COMMA = r"(?:(?<!\d,)|(?<=\.\d,)|(?<=\.\d\d,)|(?<=\.\d\d\d,))"
V4 = re.compile(rf"(?<![\d.]){NOT_AFTER_A_COMMA}{OCTET}(?:\.{OCTET}){{3}}(?![0-9A-Za-z_]|\.\d|-\d)", re.ASCII)
V6 = re.compile(
    rf"{begins('0-9A-Za-z_:.')}[23][0-9A-Fa-f]{{3}}:(?:[0-9A-Fa-f]{{0,4}}:){{1,6}}[0-9A-Fa-f]{{0,4}}(?![\w:])", re.ASCII
)
VERSION_BEFORE = re.compile(
    r"(?:\bv|[A-Za-z]-|version\w*|release\w*|\bver\.?|\brev\.?|build|==|~=|>=|<=|\^|section|chapter|§|Chrome/|[A-Za-z]/)"
    r"[\s:=\"'(]{0,4}\Z",
    re.IGNORECASE,
)
ADDRESS_BEFORE = re.compile(
    r"\b(?:ip\w*|host\w*|addr\w*|server\w*|client\w*|remote\w*|peer|ping|ssh|from|dns|gateway|node|listen|bind"
    r"|x-forwarded-for)\W{0,6}\Z|//\Z|@\Z",
    re.IGNORECASE,
)
SMALL = 20
"""With four numbers below this, dots and no word about addresses before, it is a version or a section."""

NETWORKS_4 = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
    )
)
"""Private, loop-back, documentation, multicast, reserved (RFC 6890, RFC 5737)."""
NETWORKS_6 = (IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
"""Documentation (RFC 3849, RFC 9637). The others lie outside of 2000::/3, which alone is looked for."""
RESOLVERS = frozenset(
    (
        *("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220"),
        *("2001:4860:4860::8888", "2001:4860:4860::8844", "2606:4700:4700::1111", "2606:4700:4700::1001"),
    )
)
"""Public services that everybody names."""


def _is_address(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 24) : match.start()]
    if VERSION_BEFORE.search(before) and not ADDRESS_BEFORE.search(before):
        return False
    # An escape (\n) ends in a letter, too.
    if before[-1:].isalpha() and before[-2:] not in ("\\n", "\\t", "\\r"):
        return False
    small = all(int(octet) < SMALL for octet in match[0].split("."))
    return not small or ADDRESS_BEFORE.search(before) is not None


def _is_v6(match: re.Match[str]) -> bool:
    try:
        IPv6Address(match[0])
    except ValueError:
        return False
    return True


def _canonical(address: str) -> str:
    return str(ipaddress.ip_address(address))


def _is_reserved_4(address: str) -> bool:
    found = IPv4Address(address)
    return address in RESOLVERS or any(found in network for network in NETWORKS_4)


def _is_reserved_6(address: str) -> bool:
    found = IPv6Address(address)
    return str(found) in RESOLVERS or any(found in network for network in NETWORKS_6)


def _surrogate_4(address: str, draw: Draw) -> str:
    return f"192.0.2.{1 + draw.number(254)}"


def _surrogate_6(address: str, draw: Draw) -> str:
    return f"2001:db8::{1 + draw.number(0xFFFE):x}:{1 + draw.number(0xFFFE):x}"


IPV4 = Detector(
    "ipv4", r"\d\.\d{1,3}\.\d{1,3}\.\d", by_pattern(V4, _is_address), _is_reserved_4, _surrogate_4, _canonical
)
IPV6 = Detector(
    "ipv6", "[23][0-9a-fA-F]{3}:[0-9a-fA-F]{0,4}:", by_pattern(V6, _is_v6), _is_reserved_6, _surrogate_6, _canonical
)
