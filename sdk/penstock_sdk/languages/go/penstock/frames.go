// SPDX-License-Identifier: Apache-2.0

package penstock

import "fmt"

// Schema is what the wire says of a record.
type Schema struct {
	ID      uint16
	Version uint8
	// Size in bytes; 0 for a control record, which is msgpack.
	Size  uint16
	Topic string
}

// Record is one record, packed or control: a pointer to one of the structs in this package, or one of your own.
type Record interface {
	Schema() Schema
	// Append appends the record's body.
	Append(to []byte) []byte
	// Read takes the fields from a body; what was appended later is passed over.
	Read(body []byte) error
}

// EachFrame calls do with the header and body of each frame, in order; it ends at the first error.
func EachFrame(frames []byte, do func(h Header, body []byte) error) error {
	for len(frames) > 0 {
		h, err := ReadHeader(frames)
		if err != nil {
			return err
		}
		left := uint64(len(frames) - HeaderBytes)
		padded := (uint64(h.BodyBytes) + 7) / 8 * 8
		if padded > left {
			return fmt.Errorf("frame of schema %d met %d bytes, wanted %d", h.SchemaID, left, padded)
		}
		if h.Count == 0 || h.Count > FrameRecordsMax {
			return fmt.Errorf("frame of schema %d met %d records, wanted 1 … %d", h.SchemaID, h.Count, FrameRecordsMax)
		}
		if h.Stride == 0 && h.Count != 1 || h.Stride > 0 && uint64(h.Count)*uint64(h.Stride) != uint64(h.BodyBytes) {
			return fmt.Errorf(
				"frame of schema %d met a body of %d bytes, wanted %d records of %d", h.SchemaID, h.BodyBytes, h.Count, h.Stride)
		}
		if err := do(h, frames[HeaderBytes:HeaderBytes+int(h.BodyBytes)]); err != nil {
			return err
		}
		frames = frames[HeaderBytes+int(padded):]
	}
	return nil
}

// ReadRecords returns the records of a frame; none when their schema is unknown here.
func ReadRecords(h Header, body []byte) ([]Record, error) {
	if NewRecord(h.SchemaID) == nil {
		return nil, nil
	}
	stride := int(h.Stride)
	if size := NewRecord(h.SchemaID).Schema().Size; (size == 0) != (stride == 0) {
		return nil, fmt.Errorf("frame of schema %d met a stride of %d, wanted %d or more", h.SchemaID, stride, size)
	}
	if stride == 0 {
		stride = len(body)
	}
	records := make([]Record, 0, h.Count)
	for at := 0; at < int(h.Count); at++ {
		r := NewRecord(h.SchemaID)
		if err := r.Read(body[at*stride : (at+1)*stride]); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// AppendFrame appends a frame of one record that is neither stamped nor numbered.
func AppendFrame(to []byte, r Record) []byte {
	return appendFrame(to, r, Header{CauseSeq: Absent, CorrelationSeq: Absent})
}

func appendFrame(to []byte, r Record, h Header) []byte {
	schema := r.Schema()
	body := r.Append(nil)
	h.BodyBytes, h.SchemaID, h.Version, h.Count, h.Stride = uint32(len(body)), schema.ID, schema.Version, 1, schema.Size
	to = append(h.Append(to), body...)
	return append(to, make([]byte, (8-len(body)%8)%8)...)
}
