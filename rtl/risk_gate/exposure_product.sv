// SPDX-License-Identifier: Apache-2.0
// lots * kW per lot, for comparing as two rows and, a cycle later, as one number.
//
// Latency: lots and kw_per_lot are taken with `load`; the rows stand two cycles later, number and too_many three; they
// stay until the next load. One order at a time.
`default_nettype none
module exposure_product #(
    parameter int QTY_W        = 24,  // bits of the lots
    parameter int KW_PER_LOT_W = 16,  // bits of the factor, 3 to 18
    parameter int KW_W         = 32,  // bits of a signed exposure
    parameter int W            = 42   // bits of the rows: QTY_W + KW_PER_LOT_W + 2, and KW_W + 3, at least
) (
    input  wire logic                    clk,
    input  wire logic                    load,
    input  wire logic [QTY_W-1:0]        lots,
    input  wire logic [KW_PER_LOT_W-1:0] kw_per_lot,
    output      logic [W-1:0]            rows_a,    // the sum of the two is the product
    output      logic [W-1:0]            rows_b,
    output      logic [KW_W-2:0]         number,
    output wire logic                    too_many   // the product is above 2**(KW_W-1) - 1: number means nothing
);
    localparam int R0 = (KW_PER_LOT_W + 1) / 2, R1 = R0 - R0/3, R2 = R1 - R1/3, R3 = R2 - R2/3, R4 = R3 - R3/3;

    initial if (R4 != 2) $fatal(1, "%m: KW_PER_LOT_W=%0d, wanted 3 to 18", KW_PER_LOT_W);

    logic [QTY_W-1:0]        lots_q;
    logic [QTY_W+1:0]        thrice_q;
    logic [KW_PER_LOT_W-1:0] kw_per_lot_q;

    wire logic [R0*W-1:0] rows;
    wire logic [R1*W-1:0] rows_1;
    wire logic [R2*W-1:0] rows_2;
    wire logic [R3*W-1:0] rows_3;
    wire logic [R4*W-1:0] rows_4;
    logic [R2*W-1:0] rows_q;
    radix4_rows #(.A_W(QTY_W+1), .B_W(KW_PER_LOT_W), .W(W)) u_rows (
        .once({1'b0, lots_q}), .thrice({1'b0, thrice_q}), .times(kw_per_lot_q), .rows(rows)
    );
    carry_save #(.ROWS(R0), .W(W)) u_save_1 (.rows(rows), .fewer(rows_1));
    carry_save #(.ROWS(R1), .W(W)) u_save_2 (.rows(rows_1), .fewer(rows_2));
    carry_save #(.ROWS(R2), .W(W)) u_save_3 (.rows(rows_q), .fewer(rows_3));
    carry_save #(.ROWS(R3), .W(W)) u_save_4 (.rows(rows_3), .fewer(rows_4));

    sum_reaches #(.W(W)) u_too_many (
        .clk(clk), .rows_a(rows_a), .rows_b(rows_b), .number({{(W-KW_W+1){1'b1}}, {(KW_W-1){1'b0}}}), .plus_one(1'b0), .reaches(too_many)
    );

    always_ff @(posedge clk) begin
        if (load) begin
            lots_q       <= lots;
            thrice_q     <= (QTY_W+2)'(lots) + ((QTY_W+2)'(lots) << 1);
            kw_per_lot_q <= kw_per_lot;
        end
        rows_q <= rows_2;
        {rows_b, rows_a} <= rows_4;
        number <= rows_a[KW_W-2:0] + rows_b[KW_W-2:0];
    end

`ifdef FORMAL
    // The rows are the plain product from two clocks after the load on, number and too_many from three.
    logic ran_q;
    formal_reset reset_i (.clk, .rst(load), .ran_q);
    logic [2:0] age_q;  // clocks since the load: bit i after i + 1
    always_ff @(posedge clk) age_q <= load ? 3'd0 : {age_q[1:0], 1'b1};
    wire logic [W-1:0] value = W'(lots_q) * W'(kw_per_lot_q);
    wire logic [W-1:0] most = (W'(1) << (KW_W - 1)) - 1'b1;
    always_comb if (ran_q) begin
        thrice: assert (thrice_q == (QTY_W+2)'(lots_q) * (QTY_W+2)'(3));
        rows_:  assert (!age_q[1] || W'(rows_a + rows_b) == value);
        over:   assert (!age_q[2] || too_many == (value > most));
        exact:  assert (!age_q[2] || too_many || W'(number) == value);
    end
`endif
endmodule
`default_nettype wire
