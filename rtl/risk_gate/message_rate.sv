// SPDX-License-Identifier: Apache-2.0
// A token bucket on the orders' own time: burst messages at once, and one more every ns_per_message. All times are in ns.
//
// The messages taken so far will have come free again at `empty_ns`. The host gives window_ns = (burst - 1) *
// ns_per_message, held at 2**63 - 1: an order is refused where empty_ns - at_ns > window_ns, which is where the number of
// messages taken, rounded up, is above burst. Where empty_ns would come to 2**63 - 1 or more, it says `overflow`.
//
// Latency: at_ns is taken with `load`, and the answers stand four cycles later, when `enter` came three cycles or more
// before that. `enter` takes the message of the order at hand; at_ns may be loaded again at the same edge.
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
    logic [63:0]        least_q;  // before this time, which may be below 0, an order is refused …
    logic [62:0]        most_q;   // … and from this time on it overflows
    logic [62:0]        at_q, at_plus_q, empty_plus_q, next_q;
    logic               over_q, early_q;

    // Compared and added in two halves, one clock after the other: half the carry chain.
    localparam int LOW = 32;
    logic               at_over_q, at_most_q, at_low_over_q, empty_over_q, empty_most_q, empty_low_over_q;
    logic               early_high_q, early_same_q, early_low_q, later_high_q, later_same_q, later_low_q;
    logic [LOW:0]       at_low_q, empty_low_q;
    wire logic [62-LOW:0] at_high = at_q[62:LOW], empty_high = empty_q[62:LOW];
    wire logic          later = later_high_q || later_same_q && later_low_q;  // the order comes after the bucket is empty

    assign overflow = over_q;
    assign refused  = early_q;
    assign sts_empty_ns = empty_q;

    always_ff @(posedge clk) begin
        if (load) at_q <= at_ns;
        least_q <= {1'b0, empty_q} - {1'b0, window_q};
        most_q  <= NS_MAX - per_q;

        at_over_q        <= at_high > most_q[62:LOW];
        at_most_q        <= at_high == most_q[62:LOW];
        at_low_over_q    <= at_q[LOW-1:0] >= most_q[LOW-1:0];
        empty_over_q     <= empty_high > most_q[62:LOW];
        empty_most_q     <= empty_high == most_q[62:LOW];
        empty_low_over_q <= empty_q[LOW-1:0] >= most_q[LOW-1:0];
        over_q <= !unlimited_q && (at_over_q || at_most_q && at_low_over_q || empty_over_q || empty_most_q && empty_low_over_q);

        early_high_q <= !least_q[63] && at_high < least_q[62:LOW];
        early_same_q <= !least_q[63] && at_high == least_q[62:LOW];
        early_low_q  <= at_q[LOW-1:0] < least_q[LOW-1:0];
        early_q <= !unlimited_q && (none_q || early_high_q || early_same_q && early_low_q);

        // A message is entered only where this does not overflow.
        at_low_q     <= {1'b0, at_q[LOW-1:0]} + {1'b0, per_q[LOW-1:0]};
        at_plus_q    <= {at_high + per_q[62:LOW] + (63-LOW)'(at_low_q[LOW]), at_low_q[LOW-1:0]};
        empty_low_q  <= {1'b0, empty_q[LOW-1:0]} + {1'b0, per_q[LOW-1:0]};
        empty_plus_q <= {empty_high + per_q[62:LOW] + (63-LOW)'(empty_low_q[LOW]), empty_low_q[LOW-1:0]};
        later_high_q <= at_high > empty_high;
        later_same_q <= at_high == empty_high;
        later_low_q  <= at_q[LOW-1:0] > empty_q[LOW-1:0];
        next_q       <= later ? at_plus_q : empty_plus_q;

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
            at_q        <= '0;  // so that synthesis keeps it apart from other copies of an order's time
        end
    end

`ifdef FORMAL
    // The answers are those of the plain rule in the fourth clock after an edge that changed what it reads.
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    logic [2:0] still_q;  // clocks without a change: bit i after i + 1
    wire logic [63:0] last = {1'b0, at_q > empty_q ? at_q : empty_q};
    wire logic [62:0] backlog = empty_q > at_q ? empty_q - at_q : '0;
    always_ff @(posedge clk)
        still_q <= load || enter || cfg_write || cfg_empty_write || rst ? 3'd0 : {still_q[1:0], 1'b1};
    wire logic settled = still_q[2];
    always_comb if (ran_q && settled) begin
        late:  assert (overflow == (!unlimited_q && last + {1'b0, per_q} >= {1'b0, NS_MAX}));
        rated: assert (refused == (!unlimited_q && (none_q || backlog > window_q)));
        taken: assert (unlimited_q || overflow || next_q == last[62:0] + per_q);
    end
    // What is kept: a message that is entered counts from the later of its time and the bucket's; nothing else but the host
    // changes it.
    logic        plain_q;  // what came at the last edge is what the gate does
    logic [62:0] due_ns_q;
    always_ff @(posedge clk) begin
        plain_q  <= ran_q && (rst || !enter || unlimited_q || settled && !overflow);
        due_ns_q <= rst ? '0 : enter && !unlimited_q ? last[62:0] + per_q : cfg_empty_write ? cfg_empty_ns : empty_q;
    end
    always_comb if (ran_q && plain_q) begin
        counted: assert (sts_empty_ns == due_ns_q);
    end
`endif
endmodule
`default_nettype wire
