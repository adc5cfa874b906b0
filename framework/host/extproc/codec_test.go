package extproc

import (
	"bytes"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// told is a message with texts in all places; TEXT stands for what is not UTF-8 later, in as many bytes.
func told(value string) *extprocv3.ProcessingRequest {
	m := requestHeaders(true)
	list := structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("TEXT")}})
	s := &structpb.Struct{Fields: map[string]*structpb.Value{"key": structpb.NewStringValue("TEXT"), "TEXT": list}}
	m.Attributes = map[string]*structpb.Struct{"TEXT": s}
	m.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"ns": s}}
	m.GetRequestHeaders().GetHeaders().GetHeaders()[0].Value = value
	return m
}

func read(p []byte) (*extprocv3.ProcessingRequest, error) {
	m := &extprocv3.ProcessingRequest{}
	return m, newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(p)}, m)
}

func TestCodec(t *testing.T) {
	p, _ := proto.Marshal(told(""))
	m, err := read(bytes.ReplaceAll(p, []byte("TEXT"), []byte("a\xff\xc3b")))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	p, _ = proto.Marshal(told(""))
	want, err := read(bytes.ReplaceAll(p, []byte("TEXT"), []byte("a??b")))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	got := strings.ReplaceAll(m.String(), "\uFFFD", "??") // one for all that is wrong in a row
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want.String()), " ") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p, _ = proto.Marshal(told("TEXT"))
	if _, err := read(bytes.ReplaceAll(p, []byte("TEXT"), []byte("a\xff\xc3b"))); err == nil {
		t.Error("a header's text that is not UTF-8 is taken")
	}
	if _, err := read([]byte("\x0a\x7f")); err == nil {
		t.Error("half a message is taken")
	}
}

// FuzzMend: what can be read without it is the same with it, and nothing crashes.
func FuzzMend(f *testing.F) {
	for _, m := range []*extprocv3.ProcessingRequest{told(""), told("TEXT"), requestBody("a", true), responseTrailers()} {
		p, _ := proto.Marshal(m)
		f.Add(p)
		f.Add(bytes.ReplaceAll(p, []byte("TEXT"), []byte("a\xff\xc3b")))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		mended, err := mend(p, (&extprocv3.ProcessingRequest{}).ProtoReflect().Descriptor(), 0)
		plain, with := &extprocv3.ProcessingRequest{}, &extprocv3.ProcessingRequest{}
		if proto.Unmarshal(p, plain) != nil {
			read(p)
			return
		}
		if err != nil {
			t.Fatalf("mend: %v", err)
		}
		if err := proto.Unmarshal(mended, with); err != nil {
			t.Fatalf("proto.Unmarshal: %v", err)
		}
		a, _ := proto.MarshalOptions{Deterministic: true}.Marshal(plain)
		b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(with)
		if !bytes.Equal(a, b) {
			t.Errorf("got %v, want %v", with, plain)
		}
	})
}
