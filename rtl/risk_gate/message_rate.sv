// SPDX-License-Identifier: Apache-2.0
// A token bucket on the orders' own time: burst messages at once, and one more every ns_per_message. All times are in ns.
//
// The messages taken so far will have come free again at `empty_ns`. The host gives window_ns = (burst - 1) *
// ns_per_message, held at 2**63 - 1: an order is refused where empty_ns - at_ns > window_ns, which is where the number of
// messages taken, rounded up, is above burst. Where empty_ns would come to 2**63 - 1 or more, it says `overflow`.
//
// Latency: at_ns is taken with `load`, and the answers stand three cycles later, when `enter` came up to two cycles before
// that. `enter` takes the message of the order at hand; at_ns may be loaded again at the same edge.
`default_nettype none
module message_rate (
    input  wire logic        clk,
    input  wire logic        rst,  // no message passes, none has been taken

    input  wire logic        cfg_write,
    input  wire logic [62:0] cfg_ns_per_message,
    input  wire logic [62:0] cfg_window_ns,
    input  wire logic        cfg_none,       // 1: burst is 0
    input  wire logic        cfg_unlimited,  // 1: any number of messages; none is counted
    input  wire logic        cfg_empty_write,
    input  wire logic [62:0] cfg_empty_ns,
    output wire logic [62:0] sts_empty_ns,

    input  wire logic        load,
    input  wire logic [62:0] at_ns,
    input  wire logic        enter,
    output wire logic        overflow,
    output wire logic        refused
);
    localparam logic [62:0] NS_MAX = '1;

    logic        none_q, unlimited_q;
    logic [62:0] per_q, window_q, empty_q;
    logic signed [63:0] least_q;  // before this time an order is refused …
    logic [62:0]        most_q;   // … and from this time on it overflows
    logic        empty_over_q, at_over_q, early_q;
    logic [62:0] at_q, at_plus_q, empty_plus_q, next_q;
    logic        later_q;  // the order comes after the bucket is empty

    assign overflow = !unlimited_q && (at_over_q || empty_over_q);
    assign refused  = !unlimited_q && (none_q || early_q);
    assign sts_empty_ns = empty_q;

    always_ff @(posedge clk) begin
        if (load) at_q <= at_ns;
        least_q      <= {1'b0, empty_q} - {1'b0, window_q};
        most_q       <= NS_MAX - per_q;
        empty_over_q <= empty_q >= most_q;
        at_over_q    <= at_q >= most_q;
        early_q      <= $signed({1'b0, at_q}) < least_q;
        // A message is entered only where this does not overflow.
        at_plus_q    <= at_q + per_q;
        empty_plus_q <= empty_q + per_q;
        later_q      <= at_q > empty_q;
        next_q       <= later_q ? at_plus_q : empty_plus_q;

        if (cfg_write) begin
            per_q       <= cfg_ns_per_message;
            window_q    <= cfg_window_ns;
            none_q      <= cfg_none;
            unlimited_q <= cfg_unlimited;
        end
        if (cfg_empty_write) empty_q <= cfg_empty_ns;
        if (enter && !unlimited_q) empty_q <= next_q;
        if (rst) begin
            none_q      <= 1'b1;
            unlimited_q <= 1'b0;
            per_q       <= 63'd1;
            window_q    <= '0;
            empty_q     <= '0;
        end
    end

`ifdef FORMAL
    // The answers are those of the plain rule, three clocks after the last change of what it reads.
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    logic [2:0] still_q;  // clocks without a change: bit i after i + 1
    wire logic [63:0] last = {1'b0, at_q > empty_q ? at_q : empty_q};
    wire logic [62:0] backlog = empty_q > at_q ? empty_q - at_q : '0;
    always_ff @(posedge clk)
        still_q <= load || enter || cfg_write || cfg_empty_write || rst ? 3'd0 : {still_q[1:0], 1'b1};
    always_comb if (ran_q && still_q[2]) begin
        late:  assert (overflow == (!unlimited_q && last + {1'b0, per_q} >= {1'b0, NS_MAX}));
        rated: assert (refused == (!unlimited_q && (none_q || backlog > window_q)));
        taken: assert (unlimited_q || overflow || next_q == last[62:0] + per_q);
    end
`endif
endmodule
`default_nettype wire
