// SPDX-License-Identifier: Apache-2.0
// The small codes that the blocks of the tick-to-trade chain hand one another; penstock_sdk.golden.tick_layout has the
// same, and a test holds the two together. Sides and reasons are those of penstock_pkg.
`default_nettype none
/* verilator lint_off UNUSEDPARAM */  // each module reads a few of these
package tick_pkg;

    // what a market message does to a book: s_update_kind
    localparam int UPDATE_KIND_W = 4;
    localparam logic [3:0] UPDATE_QUOTE   = 4'd1;  // both best prices, each present or not; the whole book is these two
    localparam logic [3:0] UPDATE_LEVEL   = 4'd2;  // this price of this side now holds qty_lots; 0 takes the level away
    localparam logic [3:0] UPDATE_ADD     = 4'd3;  // an order ref of qty_lots at price joins
    localparam logic [3:0] UPDATE_REDUCE  = 4'd4;  // the order ref has qty_lots less (executed, partly cancelled)
    localparam logic [3:0] UPDATE_DELETE  = 4'd5;  // the order ref leaves
    localparam logic [3:0] UPDATE_REPLACE = 4'd6;  // the order ref leaves, new_ref joins its side at price with qty_lots
    localparam logic [3:0] UPDATE_SET     = 4'd7;  // the order ref now stands at price with qty_lots, known before or not
    localparam logic [3:0] UPDATE_CLEAR   = 4'd8;  // the book is empty, and known again
    localparam logic [3:0] UPDATE_POISON  = 4'd9;  // the book can no longer be known: until CLEAR or QUOTE

    // what is asked of the risk gate: s_order_kind
    localparam int GATE_KIND_W = 2;
    localparam logic [1:0] GATE_CHECK   = 2'd0;  // judge an order, and enter it if it passes
    localparam logic [1:0] GATE_RESERVE = 2'd1;  // count an order as working that did not come through the gate
    localparam logic [1:0] GATE_RELEASE = 2'd2;  // take back what was cancelled, rejected or expired
    localparam logic [1:0] GATE_FILL    = 2'd3;  // move what was dealt from working to the net position

    // what arms a trigger rule: cfg_rule_kind
    localparam int RULE_KIND_W = 3;
    localparam logic [2:0] RULE_NONE         = 3'd0;
    localparam logic [2:0] RULE_ASK_AT_MOST  = 3'd1;  // best ask <= threshold
    localparam logic [2:0] RULE_BID_AT_LEAST = 3'd2;  // best bid >= threshold
    localparam logic [2:0] RULE_SPREAD_AT_LEAST = 3'd3;  // best ask - best bid >= threshold
    localparam logic [2:0] RULE_SPREAD_AT_MOST  = 3'd4;  // best ask - best bid <= threshold
    localparam logic [2:0] RULE_PAIR_BID_ASK = 3'd5;  // best bid here - best ask of the other slot >= threshold
    localparam logic [2:0] RULE_PAIR_ASK_BID = 3'd6;  // best bid of the other slot - best ask here >= threshold

endpackage
/* verilator lint_on UNUSEDPARAM */
`default_nettype wire
