package extproc

import (
	"errors"
	"strings"
	"unicode/utf8"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// codec is gRPC's for protobuf, and reads messages besides whose attributes or metadata are not UTF-8. Envoy writes
// such: a header's bytes, which a client chose, as the text of an attribute. Protobuf refuses the message, so that any
// client could have its requests fail, or with failure_mode_allow pass by all plugins.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Unmarshal reads a message. It costs more only where that fails.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	m, ok := v.(*extprocv3.ProcessingRequest)
	if err == nil || !ok {
		return err
	}
	mended, wrong := mend(data.Materialize(), m.ProtoReflect().Descriptor(), 0)
	if wrong != nil {
		return err
	}
	m.Reset()
	return proto.Unmarshal(mended, m)
}

// texts are the fields of a ProcessingRequest in which text is mended. What is wrong elsewhere is the client's doing.
var texts = map[protoreflect.Name]bool{"attributes": true, "metadata_context": true}

// maxDepth bounds how deep messages are nested.
const maxDepth = 100

// mend copies a message with U+FFFD in place of what is not UTF-8 in its text.
func mend(p []byte, d protoreflect.MessageDescriptor, depth int) (out []byte, err error) {
	if depth > maxDepth {
		return nil, errors.New("too deep")
	}
	out = make([]byte, 0, len(p)+16)
	for len(p) > 0 {
		number, kind, n := protowire.ConsumeField(p)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		field, whole := d.Fields().ByNumber(number), p[:n]
		p = p[n:]
		if _, _, tag := protowire.ConsumeTag(whole); kind != protowire.BytesType || field == nil ||
			depth == 0 && !texts[field.Name()] {
			out = append(out, whole...)
		} else {
			value, _ := protowire.ConsumeBytes(whole[tag:])
			if field.Kind() == protoreflect.MessageKind {
				if value, err = mend(value, field.Message(), depth+1); err != nil {
					return nil, err
				}
			} else if field.Kind() == protoreflect.StringKind && !utf8.Valid(value) {
				value = []byte(strings.ToValidUTF8(string(value), "\uFFFD"))
			}
			out = protowire.AppendBytes(append(out, whole[:tag]...), value)
		}
	}
	return out, nil
}
