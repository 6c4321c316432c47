"""Write what is proven of a register block: assertions at the end of its module, under FORMAL."""

from __future__ import annotations

from penstock_hw.registers.model import Block, Field, Kind

__all__ = ["properties"]

_TOP = """
`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    wire logic [3:0] aw_open, w_open, ar_open;
    axil_rules #(.OPEN_MAX(1)) s_axil_i (
        .clk, .rst, .aw_open, .w_open, .ar_open,
        .awaddr(s_axil_awaddr), .awvalid(s_axil_awvalid), .awready(s_axil_awready),
        .wdata(s_axil_wdata), .wstrb(s_axil_wstrb), .wvalid(s_axil_wvalid), .wready(s_axil_wready),
        .bresp(s_axil_bresp), .bvalid(s_axil_bvalid), .bready(s_axil_bready),
        .araddr(s_axil_araddr), .arvalid(s_axil_arvalid), .arready(s_axil_arready),
        .rdata(s_axil_rdata), .rresp(s_axil_rresp), .rvalid(s_axil_rvalid), .rready(s_axil_rready)
    );

    always_comb if (ran_q) begin
        one_write: assert (aw_open == 4'(aw_q || s_axil_bvalid) && w_open == 4'(w_q || s_axil_bvalid));
        one_read:  assert (ar_open == 4'(ar_q || s_axil_rvalid));
        one_state: assert (!(s_axil_bvalid && (aw_q || w_q)) && !(s_axil_rvalid && ar_q));
        checked:   assert (!checked_q || (aw_q && w_q && takes_q == takes));
        no_data:   assert (!(s_axil_rvalid && s_axil_rresp == SLVERR) || s_axil_rdata == '0);
"""

_EDGE = """\
    end

    always_ff @(posedge clk) if (ran_q && !$past(rst)) begin
        held: assert (!$past(hold) || !$rose(s_axil_bvalid));
"""

_BOTTOM = """\
    end
`endif
"""


def properties(block: Block) -> str:
    """Return the block's assertions."""
    fields = [field for register in block.registers for field in register.fields]
    kept = [field for field in fields if field.kind is Kind.CONFIG]
    still = [f"$stable({field.port})" for field in kept]
    still += [f"!{field.port}" for field in fields if field.kind is Kind.PULSE]
    text = _TOP + "".join(f"        {field.port}_below: assert ({_bounded(field)});\n" for field in kept if field.below)
    text += _EDGE
    if still:
        text += "        // Nothing changes, and no pulse comes, but by a write that is answered with OKAY.\n"
        quiet = "            && ".join(f"{one}\n" for one in still).rstrip("\n")
        text += (
            f"        if (!$rose(s_axil_bvalid) || s_axil_bresp != OKAY) quiet: assert (\n               {quiet});\n"
        )
    return text + _BOTTOM


def _bounded(field: Field) -> str:
    width = max(32, field.width)
    limit = f"{width}'d{field.below}" if field.below.isdecimal() else f"{width}'({field.below})"
    return f"{width}'({field.port}) < {limit}"
