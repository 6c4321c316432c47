// SPDX-License-Identifier: Apache-2.0
// What became of each frame, in counters that stop at their largest value. Every frame counts once, by the first that holds:
//   1 interleaved   a beat bears another tid than the frame's first
//   2 truncated     tlast came before the length that the frame states
//   3 oversized     tlast came after it
//   4 other         a record or message that is none of ours: passed over, no fault
//   5 malformed     it contradicts itself: version, stride, count, length
//   6 oversized     more records than RECORDS_MAX
//   7 out_of_order  seq is not above the latest one accepted
//   8 accepted      its records count too: updates, unmapped; range are those updates that became POISON
// The counters move two clocks after ended, which comes one clock after the frame's last beat; lost is high for the clock
// between, the second after that beat, for each frame but those accepted and other: what it would have said is missing.
`default_nettype none
module frame_judge #(
    parameter int COUNT_W   = 32,  // bits of the counters
    parameter int RECORDS_W = 5    // bits of a frame's number of records; at most COUNT_W
) (
    input  wire logic                 clk,
    input  wire logic                 rst,  // synchronous, active high
    input  wire logic                 ended,
    input  wire logic                 accepted,  // with ended, as all that follows
    input  wire logic                 interleaved,
    input  wire logic                 exact,  // tlast came where the length says …
    input  wire logic                 past,   // … or after it
    input  wire logic                 other,
    input  wire logic                 malformed,
    input  wire logic                 too_many,
    input  wire logic [RECORDS_W-1:0] updates,
    input  wire logic [RECORDS_W-1:0] unmapped,
    input  wire logic [RECORDS_W-1:0] ranged,
    output      logic                 lost,
    output      logic [COUNT_W-1:0]   sts_accepted_count,
    output      logic [COUNT_W-1:0]   sts_other_count,
    output      logic [COUNT_W-1:0]   sts_malformed_count,
    output      logic [COUNT_W-1:0]   sts_truncated_count,
    output      logic [COUNT_W-1:0]   sts_oversized_count,
    output      logic [COUNT_W-1:0]   sts_interleaved_count,
    output      logic [COUNT_W-1:0]   sts_out_of_order_count,
    output      logic [COUNT_W-1:0]   sts_updates_count,
    output      logic [COUNT_W-1:0]   sts_unmapped_count,
    output      logic [COUNT_W-1:0]   sts_range_count
);
    logic is_accepted_q, is_other_q, is_malformed_q, is_truncated_q, is_oversized_q, is_interleaved_q, is_late_q;
    logic [RECORDS_W-1:0] updates_q, unmapped_q, ranged_q;

    // One bit more than a counter: it says that the sum does not fit.
    wire logic [COUNT_W:0] updates_d  = {1'b0, sts_updates_count} + (COUNT_W + 1)'(updates_q);
    wire logic [COUNT_W:0] unmapped_d = {1'b0, sts_unmapped_count} + (COUNT_W + 1)'(unmapped_q);
    wire logic [COUNT_W:0] ranged_d   = {1'b0, sts_range_count} + (COUNT_W + 1)'(ranged_q);

    wire logic whole  = exact && !interleaved;  // of the stated length, and of one tid
    wire logic ours   = whole && !other;
    wire logic formed = ours && !malformed;

    always_ff @(posedge clk) begin
        lost             <= ended && (past || !(whole && (other || (accepted && !malformed && !too_many))));
        is_accepted_q    <= ended && accepted;
        is_interleaved_q <= ended && interleaved;
        is_truncated_q   <= ended && !interleaved && !exact && !past;
        is_oversized_q   <= ended && ((!interleaved && past) || (formed && too_many));
        is_other_q       <= ended && whole && other;
        is_malformed_q   <= ended && ours && malformed;
        is_late_q        <= ended && formed && !too_many && !accepted;
        updates_q  <= ended && accepted ? updates : '0;
        unmapped_q <= ended && accepted ? unmapped : '0;
        ranged_q   <= ended && accepted ? ranged : '0;

        if (is_accepted_q && !(&sts_accepted_count)) sts_accepted_count <= sts_accepted_count + 1'b1;
        if (is_other_q && !(&sts_other_count)) sts_other_count <= sts_other_count + 1'b1;
        if (is_malformed_q && !(&sts_malformed_count)) sts_malformed_count <= sts_malformed_count + 1'b1;
        if (is_truncated_q && !(&sts_truncated_count)) sts_truncated_count <= sts_truncated_count + 1'b1;
        if (is_oversized_q && !(&sts_oversized_count)) sts_oversized_count <= sts_oversized_count + 1'b1;
        if (is_interleaved_q && !(&sts_interleaved_count)) sts_interleaved_count <= sts_interleaved_count + 1'b1;
        if (is_late_q && !(&sts_out_of_order_count)) sts_out_of_order_count <= sts_out_of_order_count + 1'b1;
        sts_updates_count  <= updates_d[COUNT_W] ? '1 : updates_d[COUNT_W-1:0];
        sts_unmapped_count <= unmapped_d[COUNT_W] ? '1 : unmapped_d[COUNT_W-1:0];
        sts_range_count    <= ranged_d[COUNT_W] ? '1 : ranged_d[COUNT_W-1:0];

        if (rst) begin
            lost             <= 1'b0;
            is_accepted_q    <= 1'b0;
            is_interleaved_q <= 1'b0;
            is_truncated_q   <= 1'b0;
            is_oversized_q   <= 1'b0;
            is_other_q       <= 1'b0;
            is_malformed_q   <= 1'b0;
            is_late_q        <= 1'b0;
            updates_q  <= '0;
            unmapped_q <= '0;
            ranged_q   <= '0;
            sts_accepted_count     <= '0;
            sts_other_count        <= '0;
            sts_malformed_count    <= '0;
            sts_truncated_count    <= '0;
            sts_oversized_count    <= '0;
            sts_interleaved_count  <= '0;
            sts_out_of_order_count <= '0;
            sts_updates_count      <= '0;
            sts_unmapped_count     <= '0;
            sts_range_count        <= '0;
        end
    end

`ifdef FORMAL
    // A lost frame is one in a counter of those that fell.
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    always_comb if (ran_q)
        lost_i: assert (lost == (is_malformed_q || is_truncated_q || is_oversized_q || is_interleaved_q || is_late_q));
`endif
endmodule
`default_nettype wire
