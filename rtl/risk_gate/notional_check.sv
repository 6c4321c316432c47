// SPDX-License-Identifier: Apache-2.0
// Is |price| * lots above a limit? The limit is given per minute of delivery, so the minutes need no second product:
// |price| * lots * minutes > limit exactly where |price| * lots > floor(limit / minutes).
//
// The price stays signed: below zero, price * lots + limit < 0 is asked instead.
//
// Latency: price and lots are taken with `load`, the limit must stand one cycle later, the answer stands three cycles
// later and stays until the next load. One order at a time.
`default_nettype none
module notional_check #(
    parameter int PRICE_W    = 32,  // bits of the signed price
    parameter int QTY_W      = 24,  // bits of the lots, at most 36
    parameter int NOTIONAL_W = 56   // bits of the limit
) (
    input  wire logic                      clk,
    input  wire logic                      load,
    input  wire logic signed [PRICE_W-1:0] price_ticks,
    input  wire logic [QTY_W-1:0]          lots,
    input  wire logic [NOTIONAL_W-1:0]     limit,
    output      logic                      above
);
    // PRICE_W + QTY_W bits hold the product, one more the difference to a limit of that size.
    localparam int W  = (PRICE_W + QTY_W > NOTIONAL_W + 1 ? PRICE_W + QTY_W : NOTIONAL_W + 1) + 1;
    localparam int R0 = (QTY_W + 1) / 2, R1 = R0 - R0/3, R2 = R1 - R1/3;
    localparam int S0 = R2 + 1, S1 = S0 - S0/3, S2 = S1 - S1/3, S3 = S2 - S2/3, S4 = S3 - S3/3;

    initial if (S4 > 2) $fatal(1, "%m: QTY_W=%0d, wanted 36 or less", QTY_W);

    logic signed [PRICE_W-1:0] price_q;
    logic signed [PRICE_W+1:0] thrice_q;
    logic [QTY_W-1:0]          lots_q;

    wire logic [R0*W-1:0] rows;
    wire logic [R1*W-1:0] rows_1;
    wire logic [R2*W-1:0] rows_2;
    radix4_rows #(.A_W(PRICE_W), .B_W(QTY_W), .W(W)) u_rows (.once(price_q), .thrice(thrice_q), .times(lots_q), .rows(rows));
    carry_save #(.ROWS(R0), .W(W)) u_save_1 (.rows(rows), .fewer(rows_1));
    carry_save #(.ROWS(R1), .W(W)) u_save_2 (.rows(rows_1), .fewer(rows_2));
    logic [R2*W-1:0] rows_q;

    // Below zero the product's own sign asks; else product - limit - 1, of which ~limit is the second part.
    wire logic         below_zero = price_q[PRICE_W-1];
    wire logic [W-1:0] addend = {W{!below_zero}} ^ W'(limit);
    wire logic [S1*W-1:0] sums_1;
    wire logic [S2*W-1:0] sums_2;
    wire logic [S3*W-1:0] sums_3;
    carry_save #(.ROWS(S0), .W(W)) u_save_3 (.rows({addend, rows_q}), .fewer(sums_1));
    carry_save #(.ROWS(S1), .W(W)) u_save_4 (.rows(sums_1), .fewer(sums_2));
    carry_save #(.ROWS(S2), .W(W)) u_save_5 (.rows(sums_2), .fewer(sums_3));
    logic [S3*W-1:0] sums_q;

    wire logic [S4*W-1:0] pair;
    carry_save #(.ROWS(S3), .W(W)) u_save_6 (.rows(sums_q), .fewer(pair));
    wire logic [W-1:0] total = pair[W-1:0] + pair[2*W-1:W];

    always_ff @(posedge clk) begin
        if (load) begin
            price_q  <= price_ticks;
            thrice_q <= (PRICE_W+2)'(price_ticks) + ((PRICE_W+2)'(price_ticks) <<< 1);
            lots_q   <= lots;
        end
        rows_q <= rows_2;
        sums_q <= sums_3;
        above  <= total[W-1] == below_zero;
    end

`ifdef FORMAL
    // The answer is the plain product's, three clocks after the load and with a limit that stands.
    logic ran_q;
    formal_reset reset_i (.clk, .rst(load), .ran_q);
    logic [2:0]              age_q;  // clocks since the load: bit i after i + 1
    logic [NOTIONAL_W-1:0]   limit_1_q, limit_2_q;
    wire logic signed [PRICE_W+1:0] wide = (PRICE_W+2)'(price_q);
    wire logic [PRICE_W+1:0]     size = below_zero ? -wide : wide;
    wire logic [PRICE_W+QTY_W:0] value = (PRICE_W+QTY_W+1)'(size) * (PRICE_W+QTY_W+1)'(lots_q);
    always_ff @(posedge clk) begin
        age_q     <= load ? 3'd0 : {age_q[1:0], 1'b1};
        limit_1_q <= limit;
        limit_2_q <= limit_1_q;
    end
    always_comb if (ran_q) begin
        thrice: assert (thrice_q == wide * 3);
        exact:  assert (!age_q[2] || above == (64'(value) > 64'(limit_2_q)));
    end
`endif
endmodule
`default_nettype wire
