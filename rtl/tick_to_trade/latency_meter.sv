// SPDX-License-Identifier: Apache-2.0
// Latency meter: how many clocks passed between a stamp and now, as a histogram of one-clock bins with least, most, sum.
//
// A measurement is a clock with `measure`: cycle - stamp, modulo 2^32, so that the cycle counter may wrap; a latency of 2^32
// clocks or more therefore counts as what is left of it modulo 2^32. It is counted in bin[latency], or in sts_overflow_count
// from BINS clocks on. Every counter and the sum stop at their largest value. `cfg_clear` forgets all, measurements of the
// same clock included, in one clock; later ones count.
//
// Latency: 3 clocks until a measurement shows. One measurement a clock. A bin is read by its index, 1 clock later.
`default_nettype none
module latency_meter #(
    parameter int BINS    = 64,  // one clock each, from 0; a power of 2, 2 or more
    parameter int COUNT_W = 32,  // bits of a counter
    localparam int BIN_W  = $clog2(BINS)
) (
    input  wire logic               clk,
    input  wire logic               rst,  // synchronous, active high

    input  wire logic [31:0]        cycle,    // counts clocks
    input  wire logic               measure,
    input  wire logic [31:0]        stamp,    // what `cycle` was when it began

    input  wire logic               cfg_clear,
    input  wire logic [BIN_W-1:0]   cfg_bin_index,

    output      logic [COUNT_W-1:0] sts_bin_count,  // of the bin asked for
    output      logic [COUNT_W-1:0] sts_overflow_count,
    output      logic [COUNT_W-1:0] sts_latency_count,  // measurements in all
    output      logic [31:0]        sts_latency_min,    // clocks; all ones before the first measurement
    output      logic [31:0]        sts_latency_max,
    output      logic [31:0]        sts_latency_last,
    output      logic [63:0]        sts_latency_sum
);
    initial begin
        if (BINS < 2 || (BINS & (BINS - 1)) != 0) $fatal(1, "%m: BINS=%0d, wanted a power of 2, 2 or more", BINS);
        if (COUNT_W < 1) $fatal(1, "%m: COUNT_W=%0d, wanted 1 or more", COUNT_W);
    end

    // What a bin's cell holds means something once the bin is filled, so that one clock clears them all.
    logic [COUNT_W-1:0] count_ram [0:BINS-1];
    logic [BINS-1:0]    filled_q;

    // Two steps: how long it took; what its bin held. Then all is written.
    logic               took_q, read_q, over_q;
    logic [31:0]        latency_q, clocks_q;
    logic [COUNT_W-1:0] held_q;

    wire logic [BIN_W-1:0]   bin     = latency_q[BIN_W-1:0];
    wire logic [BIN_W-1:0]   bin_was = clocks_q[BIN_W-1:0];
    wire logic [COUNT_W-1:0] counted = &held_q ? held_q : held_q + 1'b1;
    wire logic [64:0]        sum     = {1'b0, sts_latency_sum} + 65'(clocks_q);

    always_ff @(posedge clk) begin
        took_q    <= measure;
        latency_q <= cycle - stamp;

        read_q   <= took_q;
        clocks_q <= latency_q;
        over_q   <= latency_q >= 32'(BINS);
        if (read_q && !over_q && bin_was == bin) held_q <= counted;  // just being written
        else held_q <= filled_q[bin] ? count_ram[bin] : '0;

        if (read_q && !over_q) begin
            count_ram[bin_was] <= counted;
            filled_q[bin_was]  <= 1'b1;
        end
        if (read_q) begin
            if (over_q && !(&sts_overflow_count)) sts_overflow_count <= sts_overflow_count + 1'b1;
            if (!(&sts_latency_count)) sts_latency_count <= sts_latency_count + 1'b1;
            if (clocks_q < sts_latency_min) sts_latency_min <= clocks_q;
            if (clocks_q > sts_latency_max) sts_latency_max <= clocks_q;
            sts_latency_last <= clocks_q;
            sts_latency_sum  <= sum[64] ? '1 : sum[63:0];
        end
        sts_bin_count <= filled_q[cfg_bin_index] ? count_ram[cfg_bin_index] : '0;

        if (rst || cfg_clear) begin
            took_q   <= 1'b0;
            read_q   <= 1'b0;
            filled_q <= '0;
            sts_overflow_count <= '0;
            sts_latency_count  <= '0;
            sts_latency_min    <= '1;
            sts_latency_max    <= '0;
            sts_latency_last   <= '0;
            sts_latency_sum    <= '0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    // A clear forgets as a reset does.
    counter_rules #(.WIDTH(COUNT_W)) overflow_i (.clk, .rst(rst || cfg_clear), .count(sts_overflow_count));
    counter_rules #(.WIDTH(COUNT_W)) latency_i (.clk, .rst(rst || cfg_clear), .count(sts_latency_count));
    always_comb if (ran_q) begin
        least: assert (sts_latency_count == 0 || sts_latency_min <= sts_latency_last);
        most:  assert (sts_latency_max >= sts_latency_last);
        none:  assert (sts_latency_count != 0 || (sts_latency_max == 0 && filled_q == 0 && sts_overflow_count == 0));
        parts: assert (sts_overflow_count <= sts_latency_count);
        range: assert (!read_q || over_q == (clocks_q >= 32'(BINS)));
    end
`endif
endmodule
`default_nettype wire
