// SPDX-License-Identifier: Apache-2.0
// Reference price: the mid of every known top that has both prices, (bid + ask) / 2 rounded down, for the risk gate.
//
// A known top that lacks a side gives no reference: the last one stays, and grows old. A top that is not known takes the
// reference of its slot away, so that what halts keeps no price.
// The gate is to see a top's reference before the order that the top causes, and after those that earlier tops caused,
// however long an order waits. So a reference waits while an order does: the trigger decides on no top meanwhile, and
// offers an order 2 clocks after its top or later. While `hold` is high the trigger is to be offered no further top.
// Latency 1 clock, 1 top every second clock; s_top_taken is the clock in which the trigger takes the top.
`default_nettype none
module reference #(
    parameter int SLOTS   = 256,  // listings
    parameter int PRICE_W = 32,   // bits of a signed price in ticks
    localparam int SLOT_W = $clog2(SLOTS)
) (
    input  wire logic                      clk,
    input  wire logic                      rst,  // synchronous, active high

    input  wire logic                      s_top_taken,
    input  wire logic [SLOT_W-1:0]         s_top_slot,
    input  wire logic                      s_top_known,
    input  wire logic                      s_top_has_bid,
    input  wire logic signed [PRICE_W-1:0] s_top_bid_ticks,
    input  wire logic                      s_top_has_ask,
    input  wire logic signed [PRICE_W-1:0] s_top_ask_ticks,
    input  wire logic [63:0]               s_top_at_ns,

    input  wire logic                      order_waits,  // an order is offered to the gate
    output wire logic                      hold,         // a reference has not left

    output wire logic                      m_ref_tvalid,  // always taken
    output      logic [SLOT_W-1:0]         m_ref_slot,
    output      logic                      m_ref_has_price,
    output      logic signed [PRICE_W-1:0] m_ref_price_ticks,
    output      logic [63:0]               m_ref_at_ns
);
    initial if (SLOTS < 2) $fatal(1, "%m: SLOTS=%0d, wanted 2 or more", SLOTS);

    // One bit more than a price: the sum of two prices fits, and its half is a price again.
    wire logic signed [PRICE_W:0] sum = {s_top_bid_ticks[PRICE_W-1], s_top_bid_ticks}
                                      + {s_top_ask_ticks[PRICE_W-1], s_top_ask_ticks};

    logic held_q;

    assign hold         = held_q;
    assign m_ref_tvalid = held_q && !order_waits;

    always_ff @(posedge clk) begin
        if (s_top_taken) begin
            m_ref_slot        <= s_top_slot;
            m_ref_has_price   <= s_top_known;
            m_ref_price_ticks <= PRICE_W'(sum >>> 1);
            m_ref_at_ns       <= s_top_at_ns;
        end
        if (s_top_taken) held_q <= !s_top_known || s_top_has_bid && s_top_has_ask;
        else if (!order_waits) held_q <= 1'b0;
        if (rst) held_q <= 1'b0;
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);

    // The gate takes a reference at most at every second edge, and none is lost.
    logic sent_q, waited_q;
    always_ff @(posedge clk) begin
        sent_q   <= m_ref_tvalid && !rst;
        waited_q <= held_q && order_waits && !rst;
    end
    always_comb begin
        if (hold) assume (!s_top_taken);
        if (ran_q && sent_q) apart: assert (!m_ref_tvalid);
        if (ran_q && waited_q) kept: assert (held_q);
    end
`endif
endmodule
`default_nettype wire
