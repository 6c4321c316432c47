// SPDX-License-Identifier: Apache-2.0
// Lets the host tell the gate what became of its orders: one command at a time, put between the orders of the trigger.
//
// A command goes before the next order, never in the place of one that is offered. Its verdict, the only one that is on no
// check, gives sts_command_reason and ends sts_command_busy; while that is high no other command is heard. Nothing but a
// check sends an order: a command of kind CHECK is answered MALFORMED and goes nowhere.
//
// Latency of an order 0; it waits for at most one command. A command waits as long as the order before it.
`default_nettype none
module gate_commands #(
    parameter int SLOTS   = 256,  // listings
    parameter int PRICE_W = 32,   // bits of a signed price in ticks
    parameter int QTY_W   = 24,   // bits of an order's lots
    parameter int TAG_W   = 64,   // bits carried along
    localparam int SLOT_W = $clog2(SLOTS)
) (
    input  wire logic                      clk,
    input  wire logic                      rst,  // synchronous, active high

    input  wire logic [1:0]                cfg_command_kind,
    input  wire logic [SLOT_W-1:0]         cfg_command_slot,
    input  wire logic [1:0]                cfg_command_side,
    input  wire logic [QTY_W-1:0]          cfg_command_lots,
    input  wire logic                      cfg_command_write,  // one clock
    output      logic                      sts_command_busy,
    output      logic [7:0]                sts_command_reason,  // of the latest
    output      logic [31:0]               sts_command_count,   // commands answered

    input  wire logic                      s_order_tvalid,
    output wire logic                      s_order_tready,
    input  wire logic [1:0]                s_order_kind,
    input  wire logic [SLOT_W-1:0]         s_order_slot,
    input  wire logic [1:0]                s_order_side,
    input  wire logic signed [PRICE_W-1:0] s_order_price_ticks,
    input  wire logic [QTY_W-1:0]          s_order_lots,
    input  wire logic                      s_order_fits,
    input  wire logic [63:0]               s_order_at_ns,
    input  wire logic [63:0]               s_order_intent_id,
    input  wire logic [TAG_W-1:0]          s_order_tag,

    output wire logic                      m_order_tvalid,
    input  wire logic                      m_order_tready,
    output wire logic [1:0]                m_order_kind,
    output wire logic [SLOT_W-1:0]         m_order_slot,
    output wire logic [1:0]                m_order_side,
    output wire logic signed [PRICE_W-1:0] m_order_price_ticks,
    output wire logic [QTY_W-1:0]          m_order_lots,
    output wire logic                      m_order_fits,
    output wire logic [63:0]               m_order_at_ns,
    output wire logic [63:0]               m_order_intent_id,
    output wire logic [TAG_W-1:0]          m_order_tag,

    input  wire logic                      verdict_taken,  // the gate's next verdict has been taken …
    input  wire logic [1:0]                verdict_kind,   // … and this is it
    input  wire logic [7:0]                verdict_reason
);
    initial if (SLOTS < 2) $fatal(1, "%m: SLOTS=%0d, wanted 2 or more", SLOTS);

    logic              waits_q, turn_q;  // for its turn; it is its turn
    logic [1:0]        kind_q, side_q;
    logic [SLOT_W-1:0] slot_q;
    logic [QTY_W-1:0]  lots_q;

    wire logic heard    = cfg_command_write && !sts_command_busy;
    wire logic is_check = cfg_command_kind == tick_pkg::GATE_CHECK;
    wire logic answered = verdict_taken && verdict_kind != tick_pkg::GATE_CHECK;

    assign m_order_tvalid      = turn_q || s_order_tvalid;
    assign s_order_tready      = !turn_q && m_order_tready;
    assign m_order_kind        = turn_q ? kind_q : s_order_kind;
    assign m_order_slot        = turn_q ? slot_q : s_order_slot;
    assign m_order_side        = turn_q ? side_q : s_order_side;
    assign m_order_lots        = turn_q ? lots_q : s_order_lots;
    // The gate reads nothing more of a command than that its values fit.
    assign m_order_fits        = turn_q || s_order_fits;
    assign m_order_price_ticks = turn_q ? '0 : s_order_price_ticks;
    assign m_order_at_ns       = turn_q ? '0 : s_order_at_ns;
    assign m_order_intent_id   = turn_q ? '0 : s_order_intent_id;
    assign m_order_tag         = turn_q ? '0 : s_order_tag;

    always_ff @(posedge clk) begin
        if (heard) begin
            kind_q <= cfg_command_kind;
            slot_q <= cfg_command_slot;
            side_q <= cfg_command_side;
            lots_q <= cfg_command_lots;
        end
        if (turn_q) turn_q <= !m_order_tready;
        else if (!s_order_tvalid || m_order_tready) turn_q <= waits_q;
        if (heard) waits_q <= !is_check;
        else if (!turn_q && (!s_order_tvalid || m_order_tready)) waits_q <= 1'b0;

        if (answered) sts_command_busy <= 1'b0;
        else if (heard) sts_command_busy <= !is_check;
        if (answered) sts_command_reason <= verdict_reason;
        else if (heard && is_check) sts_command_reason <= penstock_pkg::REASON_MALFORMED[7:0];
        if ((answered || heard && is_check) && !(&sts_command_count)) sts_command_count <= sts_command_count + 1'b1;
        if (rst) begin
            waits_q            <= 1'b0;
            turn_q             <= 1'b0;
            sts_command_busy   <= 1'b0;
            sts_command_reason <= '0;
            sts_command_count  <= '0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    localparam int ORDER_W = 133 + SLOT_W + PRICE_W + QTY_W + TAG_W;

    axis_rules #(.WIDTH(ORDER_W), .ASSUME(1)) s_order_i (
        .clk, .rst, .tvalid(s_order_tvalid), .tready(s_order_tready),
        .payload({s_order_kind, s_order_slot, s_order_side, s_order_price_ticks, s_order_lots, s_order_fits, s_order_at_ns,
                  s_order_intent_id, s_order_tag})
    );
    axis_rules #(.WIDTH(ORDER_W)) m_order_i (
        .clk, .rst, .tvalid(m_order_tvalid), .tready(m_order_tready),
        .payload({m_order_kind, m_order_slot, m_order_side, m_order_price_ticks, m_order_lots, m_order_fits, m_order_at_ns,
                  m_order_intent_id, m_order_tag})
    );
    counter_rules #(.WIDTH(32)) count_i (.clk, .rst, .count(sts_command_count));

    // The trigger is reset with it. Orders are checks; an answer comes only to a command that the gate has taken and not answered.
    logic owes_q, reset_q;
    wire logic order_moves   = s_order_tvalid && s_order_tready;
    wire logic command_moves = turn_q && m_order_tready;
    always_ff @(posedge clk) begin
        reset_q <= rst;
        if (command_moves) owes_q <= 1'b1;
        else if (answered) owes_q <= 1'b0;
        if (rst) owes_q <= 1'b0;
    end
    always_comb begin
        if (reset_q) assume (!s_order_tvalid);
        if (s_order_tvalid) assume (s_order_kind == tick_pkg::GATE_CHECK);
        if (answered) assume (owes_q);
        if (ran_q) begin
            one:     assert (2'(waits_q) + 2'(turn_q) + 2'(owes_q) == 2'(sts_command_busy));
            once:    assert ((m_order_tvalid && m_order_tready) == (order_moves || command_moves));
            either:  assert (!(order_moves && command_moves));
            command: assert (!(waits_q || turn_q) || kind_q != tick_pkg::GATE_CHECK);
        end
    end
`endif
endmodule
`default_nettype wire
