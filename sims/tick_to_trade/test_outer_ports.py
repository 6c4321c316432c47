"""Every outer port of the two tops is a port of a block that is proven to keep the rules, through nothing but wires."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise

import pytest

from sims.simulators import RTL, file_of

CHAINS = {
    "the market data": ("s_axis", ["tick_to_trade", "feed_decoder_axil", "feed_decoder"]),
    "the orders": ("m_axis", ["tick_to_trade", "order_encoder_axil", "order_encoder"]),
    "the chain's registers": ("s_axil", ["tick_to_trade", "axil_split"]),
    "the offload's frames": ("s_axis", ["risk_offload", "order_frames"]),
    "the offload's answers": ("m_axis", ["risk_offload", "verdict_frames"]),
    "the offload's registers": ("s_axil", ["risk_offload", "axil_split"]),
}


def text_of(module: str) -> str:
    """Return a module's text without comments."""
    return re.sub(r"//.*", "", file_of(module).read_text())


def unconnected(outer: str, inner: str, prefix: str) -> list[str]:
    """Return the ports of *outer* that its instance *inner* has not under the same name, or that it drives as well."""
    text = text_of(outer)
    ports = re.findall(rf"^\s*(input|output)\s.*?\b({prefix}_\w+)\s*,?\s*$", text, re.MULTILINE)
    assert ports, f"{outer} has no port {prefix}_…"
    [instance] = re.findall(
        rf"^ *{inner}\s+(?:#\s*\(.*?\n    \)\s*)?\w+\s*\((.*?)\n    \);", text, re.DOTALL | re.MULTILINE
    )
    return [
        name
        for direction, name in ports
        if f".{name}({name})" not in instance or (direction == "output" and re.search(rf"\b{name}\s*(<?=)[^=]", text))
    ]


@pytest.mark.parametrize("what", CHAINS)
def test_a_top_hands_its_ports_to_a_proven_block(what: str) -> None:
    prefix, modules = CHAINS[what]
    for outer, inner in pairwise(modules):
        assert unconnected(outer, inner, prefix) == []
    proofs = tomllib.loads((RTL / "proofs.toml").read_text())["proof"]
    assert modules[-1] in {proof["module"] for proof in proofs}
    rule = "axil_rules #(" if prefix == "s_axil" else f".tvalid({prefix}_tvalid)"
    assert rule in text_of(modules[-1])


def test_a_port_that_goes_elsewhere_is_found() -> None:
    assert unconnected("tick_to_trade", "axil_split", "m_axis") != []
