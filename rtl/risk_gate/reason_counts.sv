// SPDX-License-Identifier: Apache-2.0
// One counter for each reason, in a RAM; each stops at its largest value.
//
// Latency: `count` is in the counter two cycles later; counts come three cycles apart or more. sts_count follows
// cfg_index and the counter by one cycle. After a reset the owner clears every counter.
`default_nettype none
module reason_counts #(
    parameter int COUNT_W = 32  // bits of a counter
) (
    input  wire logic               clk,
    input  wire logic               clear,  // set counter `reason` to 0
    input  wire logic               count,
    input  wire logic [5:0]         reason,
    input  wire logic [5:0]         cfg_index,
    output      logic [COUNT_W-1:0] sts_count
);
    (* ram_style = "distributed" *)
    logic [COUNT_W-1:0] counts_q [0:63];
    logic [COUNT_W-1:0] old_q;
    logic [5:0]         reason_q;
    logic               count_q;

    wire logic write = clear || count_q;
    wire logic [5:0] write_reason = clear ? reason : reason_q;
    wire logic [COUNT_W-1:0] next = clear ? '0 : &old_q ? old_q : old_q + 1'b1;

    always_ff @(posedge clk) begin
        if (write) counts_q[write_reason] <= next;
        old_q     <= counts_q[reason];
        sts_count <= counts_q[cfg_index];
    end

    always_ff @(posedge clk) begin
        reason_q <= reason;
        count_q  <= count && !clear;
    end

`ifdef FORMAL
    // One counter, any: it never goes back but when it is cleared, and moves by one.
    logic ran_q;
    formal_reset reset_i (.clk, .rst(clear), .ran_q);
    (* anyconst *) logic [5:0] any_reason;
    logic [COUNT_W-1:0] before_q;
    logic               cleared_q;
    logic [1:0]         recent_q;
    wire logic [COUNT_W-1:0] now = counts_q[any_reason];
    always_ff @(posedge clk) begin
        before_q  <= now;
        cleared_q <= write && clear && reason == any_reason;
        recent_q  <= {recent_q[0], count};
    end
    always_comb begin
        if (ran_q) begin
            follows: assert (!count_q || old_q == counts_q[reason_q]);
            after:   assert (count_q <= recent_q[0]);
            rising:  assert (cleared_q || now >= before_q);
            small:   assert (cleared_q || now - before_q <= 1);
        end
    end
`endif
`ifdef FORMAL_ALONE
    // Counts come three clocks apart or more, and none while counters are cleared.
    always_comb begin
        assume (!(count && (|recent_q || clear)));
        assume (!(clear && (|recent_q)));
    end
`endif
endmodule
`default_nettype wire
