// SPDX-License-Identifier: Apache-2.0
// Records of a frame that wait until the frame stands, then leave in order; a frame that falls takes its records along.
// Each record leaves beside what its frame as a whole has (shared).
//
// The cell at the end of the ring takes data with every clock; step keeps it as a record. accept frees the frame's records
// to leave, the one of this clock included; drop forgets them. Latency: tvalid one clock after accept; one record
// per clock. tvalid comes from a register, data from LUT RAM addressed by registers. A beat may be taken up to one clock
// after room has fallen, a step comes at most every second clock.
`default_nettype none
module update_ring #(
    parameter int DATA_W   = 32,
    parameter int SHARED_W = 32,
    parameter int DEPTH    = 32  // records; a power of 2, 4 or more
) (
    input  wire logic                clk,
    input  wire logic                rst,  // synchronous, active high
    input  wire logic                step,
    input  wire logic                accept,
    input  wire logic                drop,  // not with accept
    input  wire logic [DATA_W-1:0]   data,
    input  wire logic [SHARED_W-1:0] shared,
    output wire logic                room,
    output wire logic                m_tvalid,
    input  wire logic                m_tready,
    output wire logic [DATA_W-1:0]   m_data,
    output wire logic [SHARED_W-1:0] m_shared
);
    localparam int ADDR_W = $clog2(DEPTH);

    initial if (DEPTH < 4 || DEPTH != 1 << ADDR_W) $fatal(1, "%m: DEPTH=%0d, wanted a power of 2, 4 or more", DEPTH);

    // One cell stays free: the one that takes data. So equal pointers mean empty.
    logic [ADDR_W+DATA_W-1:0] ring_q [0:DEPTH-1];    // {frame, data}
    logic [SHARED_W-1:0]      frames_q [0:DEPTH-1];  // fewer frames than records: the same depth is enough
    logic [ADDR_W-1:0]        wr_q, commit_q, rd_q, frame_q;
    logic                     some_q;   // the frame has kept records before this clock
    logic                     valid_q;  // records are free to leave: rd_q != commit_q

    wire logic [ADDR_W-1:0] wr_next = wr_q + ADDR_W'(step);
    wire logic [ADDR_W-1:0] rd_next = rd_q + 1'b1;
    wire logic [ADDR_W-1:0] used    = wr_q - rd_q;
    wire logic [ADDR_W-1:0] m_frame;
    wire logic              fresh = accept && (step || some_q);
    wire logic              pop   = valid_q && m_tready;

    assign room     = !(&used);  // one cell is left
    assign m_tvalid = valid_q;
    assign {m_frame, m_data} = ring_q[rd_q];
    assign m_shared = frames_q[m_frame];

    always_ff @(posedge clk) begin
        ring_q[wr_q]      <= {frame_q, data};
        frames_q[frame_q] <= shared;

        wr_q <= drop ? commit_q : wr_next;
        if (accept) commit_q <= wr_next;
        if (fresh) frame_q <= frame_q + 1'b1;
        if (pop) rd_q <= rd_next;
        some_q  <= !accept && !drop && (step || some_q);
        valid_q <= fresh || (valid_q && !(m_tready && rd_next == commit_q));

        if (rst) begin
            wr_q     <= '0;
            commit_q <= '0;
            rd_q     <= '0;
            frame_q  <= '0;
            some_q   <= 1'b0;
            valid_q  <= 1'b0;
        end
    end

`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    axis_rules #(.WIDTH(DATA_W + SHARED_W)) m_i (
        .clk, .rst, .tvalid(m_tvalid), .tready(m_tready), .payload({m_data, m_shared})
    );

    // What the decoder keeps to; its own proof asserts it.
    wire logic kept = !(step && !drop && !room) && !(accept && drop);
    wire logic [ADDR_W-1:0] waiting = commit_q - rd_q;
`ifdef FORMAL_RING
    always_comb assume (kept);
`else
    always_comb if (ran_q) kept_i: assert (rst || kept);
`endif
    always_comb if (ran_q) begin
        empty:  assert (valid_q == (waiting != 0));
        order:  assert (waiting <= used);
        some:   assert (some_q == (wr_q != commit_q));
    end
    // A record that may leave is of a frame whose cell is not written any more: each frame before it has a record here.
    logic [DEPTH-1:0]  cell_ok;
    logic [ADDR_W-1:0] place, age;
    always_comb begin
        place = '0;
        age   = '0;
        for (int at = 0; at < DEPTH; at++) begin
            place = ADDR_W'(at) - rd_q;  // 0 leaves next
            age   = frame_q - ring_q[at][ADDR_W+DATA_W-1:DATA_W];
            cell_ok[at] = place < waiting ? age != 0 && age <= waiting - place : place >= used || age == 0;
        end
        if (ran_q) cells: assert (&cell_ok);
    end
`endif
endmodule
`default_nettype wire
