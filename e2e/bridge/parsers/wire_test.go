package parsers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	_ "github.com/cncf/xds/go/udpa/type/v1" // the messages that the bridge encodes
	_ "github.com/cncf/xds/go/xds/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	_ "google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"
)

// valueOf reads a google.protobuf.Value.
func valueOf(t testing.TB, wire []byte) any {
	t.Helper()
	var v structpb.Value
	if err := proto.Unmarshal(wire, &v); err != nil {
		t.Fatalf("the bridge wrote %x: %v", wire, err)
	}
	return plain(&v)
}

// plain is AsInterface without its texts for NaN and the infinities.
func plain(v *structpb.Value) any {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		return kind.NumberValue
	case *structpb.Value_ListValue:
		list := []any{}
		for _, e := range kind.ListValue.GetValues() {
			list = append(list, plain(e))
		}
		return list
	case *structpb.Value_StructValue:
		object := map[string]any{}
		for name, e := range kind.StructValue.GetFields() {
			object[name] = plain(e)
		}
		return object
	}
	return v.AsInterface()
}

// FuzzValue reads wire bytes. The bridge refuses unknown fields, which protobuf allows. So Go must accept whatever the
// bridge accepts, and read the same value; and the bridge must accept what Go writes of that value.
func FuzzValue(f *testing.F) {
	for _, d := range documents {
		var v structpb.Value
		if protojson.Unmarshal([]byte(d), &v) == nil {
			wire, err := proto.Marshal(&v)
			if err != nil {
				f.Fatalf("proto.Marshal: %v", err)
			}
			f.Add(wire)
		}
	}
	for _, wire := range []string{
		"", "\x08", "\x08\x00", "\x08\x80", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // null
		"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"\x11\x00\x00\x00\x00\x00\x00\xf8\x7f", "\x11\x00", "\x15\x00\x00\x00\x00", // numbers
		"\x1a\x01x", "\x1a\x02x", "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", "\x1a\x01\xff", "\x18\x01", // strings
		"\x20\x01", "\x20\x02", "\x20\x01\x1a\x01x", "\x1a\x01x\x20\x00", // bools; the last counts
		"\x2a\x00", "\x2a\x05\x0a\x03\x0a\x01x", "\x2a\x04\x0a\x02\x12\x00", "\x2a\x05\x0a\x03\x0a\x01\xff", // structs
		"\x2a\x05\x0a\x03\x0a\x01x\x2a\x05\x0a\x03\x0a\x01y", "\x32\x04\x0a\x02\x20\x01\x32\x04\x0a\x02\x20\x01", // merged
		"\x2a\x0c\x0a\x0a\x12\x03\x1a\x01a\x12\x03\x1a\x01b", "\x2a\x02\x0a\x05", "\x2a\x02\x08\x05", "\x32\x02\x10\x05",
		"\x32\x00", "\x32\x02\x0a\x00", "\x38\x01", "\x0b\x0c", "\x0c", "\x0f", "\x00",
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x00",
	} {
		f.Add([]byte(wire))
	}
	for _, n := range []int{99, 100, 101} {
		f.Add(deepValue(n))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var v structpb.Value
		err := proto.Unmarshal(wire, &v)
		out, good := run(t, 'v', wire)
		if good && (err != nil || !same(plain(&v), tree(t, out))) {
			t.Fatalf("the bridge reads %x as %q, Go as %v (%v)", wire, out, &v, err)
		}
		if err != nil {
			return
		}
		v.ProtoReflect().SetUnknown(nil)
		known, err := proto.Marshal(&v)
		if err != nil {
			t.Fatalf("proto.Marshal: %v", err)
		}
		if depth(plain(&v)) > maxDepth || hasUnknown(&v) {
			return
		}
		if out, good := run(t, 'v', known); !good || !same(plain(&v), tree(t, out)) {
			t.Fatalf("the bridge reads %x as %q (%v), want %v", known, out, good, &v)
		}
	})
}

// hasUnknown reports whether v has unknown fields, which would be written again.
func hasUnknown(v *structpb.Value) bool {
	if len(v.ProtoReflect().GetUnknown()) > 0 || len(v.GetStructValue().ProtoReflect().GetUnknown()) > 0 ||
		len(v.GetListValue().ProtoReflect().GetUnknown()) > 0 {
		return true
	}
	for _, e := range v.GetStructValue().GetFields() {
		if hasUnknown(e) {
			return true
		}
	}
	for _, e := range v.GetListValue().GetValues() {
		if hasUnknown(e) {
			return true
		}
	}
	return false
}

// deepValue writes a null in n lists.
func deepValue(n int) []byte {
	wire := []byte{8, 0}
	for range n {
		list := protowire.AppendBytes([]byte{0x0a}, wire)
		wire = protowire.AppendBytes([]byte{0x32}, list)
	}
	return wire
}

// FuzzStruct reads a Struct, as Envoy 1.38 hands over a route's configuration.
func FuzzStruct(f *testing.F) {
	for _, d := range documents {
		var s structpb.Struct
		if protojson.Unmarshal([]byte(d), &s) == nil {
			wire, err := proto.Marshal(&s)
			if err != nil {
				f.Fatalf("proto.Marshal: %v", err)
			}
			f.Add(wire)
		}
	}
	f.Add([]byte("\x0a\x03\x0a\x01x"))
	f.Add([]byte("\x0a\x03\x0a\x01\xff"))
	f.Add([]byte("\x0a\x00"))
	f.Add([]byte("{\"a\":1}"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		out, good := run(t, 's', wire)
		if !good {
			return
		}
		var s structpb.Struct
		if err := proto.Unmarshal(wire, &s); err != nil || !same(plain(structpb.NewStructValue(&s)), tree(t, out)) {
			t.Fatalf("the bridge reads %x as %q, Go as %v (%v)", wire, out, &s, err)
		}
	})
}

// TestDeepValue must not overflow the stack.
func TestDeepValue(t *testing.T) {
	if out, good := run(t, 'v', deepValue(9000)); good {
		t.Errorf("the bridge reads it, as %.100q", out)
	}
}

const (
	known = "type.googleapis.com/google.protobuf."
	typed = "type.googleapis.com/xds.type.v3.TypedStruct"
)

func anyOf(url, rest string) string { return fmt.Sprintf(`{"@type":%q%s}`, url, rest) }

// anys are messages that the bridge encodes.
var anys = []string{
	anyOf(typed, ``), anyOf(typed, `,"value":{}`), anyOf(typed, `,"value":null`), anyOf(typed, `,"type_url":null`),
	anyOf(typed, `,"type_url":"a/b","value":{"x":[1,"y",null,true,{"z":{}}]}`), anyOf(typed, `,"typeUrl":"a/b"`),
	anyOf("type.googleapis.com/udpa.type.v1.TypedStruct", `,"value":{"a":""}`), anyOf("x/y/xds.type.v3.TypedStruct", ``),
	anyOf(known+"Struct", `,"value":{"a":1}`), anyOf(known+"Value", `,"value":null`), anyOf(known+"Value", `,"value":[1]`),
	anyOf(known+"ListValue", `,"value":[]`), anyOf(known+"ListValue", `,"value":[{"a":-0.0},2]`),
	anyOf(known+"StringValue", `,"value":""`), anyOf(known+"StringValue", `,"value":"é"`),
	anyOf(known+"BytesValue", `,"value":""`), anyOf(known+"BytesValue", `,"value":"+/8="`),
	anyOf(known+"BytesValue", `,"value":"-_8"`), anyOf(known+"BytesValue", `,"value":"AAAA"`),
	anyOf(known+"BoolValue", `,"value":true`), anyOf(known+"BoolValue", `,"value":false`),
	anyOf(known+"DoubleValue", `,"value":0`), anyOf(known+"DoubleValue", `,"value":-1.5e-7`),
	anyOf(known+"Int32Value", `,"value":-2147483648`), anyOf(known+"Int32Value", `,"value":2147483647.0`),
	anyOf(known+"UInt32Value", `,"value":4294967295`), anyOf(known+"UInt32Value", `,"value":"7"`),
	anyOf(known+"Int64Value", `,"value":"-9223372036854775808"`), anyOf(known+"Int64Value", `,"value":1e3`),
	anyOf(known+"UInt64Value", `,"value":"18446744073709551615"`), anyOf(known+"Empty", `,"value":{}`),
}

const noType = "has no @type: write type.googleapis.com/xds.type.v3.TypedStruct with a value, as for contrib Envoys"

// wrongAny is a document that the bridge cannot encode, and the error for it.
type wrongAny struct{ any, says string }

func wrong(name, rest, why string) wrongAny {
	return wrongAny{anyOf("type.googleapis.com/"+name, rest), "is not a valid " + name + ": " + why}
}

func wrongKnown(name, rest, why string) wrongAny { return wrong("google.protobuf."+name, rest, why) }

var wrongAnys = []wrongAny{
	{`1`, `is a number, and should be a message with an @type`},
	{`{}`, noType},
	{`{"@type":1}`, noType},
	{anyOf("a/", `,"value":"AA=="`), noType},
	wrong("xds.type.v3.TypedStruct", `,"value":"x"`, `its value is a string`),
	wrong("xds.type.v3.TypedStruct", `,"x":1`, `x is not a field of it`),
	wrong("xds.type.v3.TypedStruct", `,"type_url":1`, `its type_url is a number`),
	wrong("xds.type.v3.TypedStruct", `,"type_url":"a","typeUrl":"b"`, `typeUrl is not a field of it beside type_url`),
	wrongKnown("Struct", `,"greeting":"hello"`, `greeting is not a field of it`),
	wrongKnown("Struct", `,"value":[]`, `its value is a list`),
	wrongKnown("Value", `,"value":1,"x":2`, `x is not a field of it`),
	wrongKnown("ListValue", ``, `its value is missing`),
	wrongKnown("StringValue", `,"value":1`, `its value is a number`),
	wrongKnown("BytesValue", `,"value":"*"`, `its value is not base64`),
	wrongKnown("BytesValue", `,"value":"AA="`, `its value is not base64`),
	wrongKnown("BytesValue", `,"value":"A"`, `its value is not base64`),
	wrongKnown("BytesValue", `,"value":"+_=="`, `its value is not base64`),
	wrongKnown("BoolValue", `,"value":"true"`, `its value is a string`),
	wrongKnown("DoubleValue", `,"value":true`, `its value is a bool`),
	wrongKnown("Int32Value", `,"value":2147483648`, `its value is out of range`),
	wrongKnown("Int32Value", `,"value":1.5`, `its value is not a whole number`),
	wrongKnown("UInt32Value", `,"value":-1`, `its value is out of range`),
	wrongKnown("UInt64Value", `,"value":"18446744073709551616"`, `its value is out of range`),
	wrongKnown("Int64Value", `,"value":"-9223372036854775809"`, `its value is out of range`),
	wrongKnown("Int64Value", `,"value":9007199254740993`, `its value loses digits as a number: write it as a string`),
	wrongKnown("Int64Value", `,"value":"1x"`, `its value is not a whole number`),
	wrongKnown("Int64Value", `,"value":""`, `its value is not a whole number`),
	wrongKnown("Empty", `,"value":1`, `its value is a number`),
	wrongKnown("Empty", `,"x":1`, `x is not a field of it`),
	{anyOf("a/b.C", `,"x":1`), `is a b.C, which a dynamic module cannot encode: give it as {"@type": …, ` +
		`"value": BASE64} of its wire bytes, or use xds.type.v3.TypedStruct`},
}

func TestAnyErrors(t *testing.T) {
	for _, w := range wrongAnys {
		if got, good := run(t, 'a', []byte(w.any)); good || got != w.says {
			t.Errorf("%s\ngot  %q\nwant %q", w.any, got, w.says)
		}
	}
}

// TestAnyBase64 encodes a message that the bridge does not know.
func TestAnyBase64(t *testing.T) {
	want := &anypb.Any{TypeUrl: "a/b.C", Value: []byte("\x0a\xff\x00")}
	for name, encoding := range map[string]*base64.Encoding{
		"standard": base64.StdEncoding, "for URLs, without padding": base64.RawURLEncoding,
	} {
		t.Run(name, func(t *testing.T) {
			wire, good := run(t, 'a', []byte(anyOf(want.TypeUrl, `,"value":"`+encoding.EncodeToString(want.Value)+`"`)))
			var got anypb.Any
			if err := proto.Unmarshal([]byte(wire), &got); !good || err != nil || !proto.Equal(want, &got) {
				t.Errorf("got wire %q (good %v, error %v), want %v", wire, good, err, want)
			}
		})
	}
	if wire, good := run(t, 'a', []byte(`null`)); !good || wire != "" {
		t.Errorf("null is %q, want nothing", wire)
	}
}

func FuzzAny(f *testing.F) {
	for _, a := range anys {
		f.Add([]byte(a))
	}
	for _, w := range wrongAnys {
		f.Add([]byte(w.any))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out, good := run(t, 'a', text)
		var document any
		if json.Unmarshal(text, &document) != nil {
			return // FuzzJSON's
		}
		var want, got anypb.Any
		err := protojson.Unmarshal(text, &want)
		if !good {
			if err == nil && !stricter(document, out) {
				t.Fatalf("the bridge refuses %s: %s", text, out)
			}
			return
		}
		if wrong := proto.Unmarshal([]byte(out), &got); wrong != nil {
			t.Fatalf("the bridge wrote %x: %v", out, wrong)
		}
		if err != nil {
			if !looser(document, err) {
				t.Fatalf("the bridge takes %s: %v", text, err)
			}
			return
		}
		a, err1 := want.UnmarshalNew()
		b, err2 := got.UnmarshalNew()
		if want.TypeUrl != got.TypeUrl || err1 != nil || err2 != nil || !proto.Equal(a, b) {
			t.Fatalf("the bridge encodes %s as %v (%v), Go as %v (%v)", text, b, err2, a, err1)
		}
	})
}

// stricter reports whether the bridge may refuse what Go accepts: messages that it cannot encode, documents that are too
// deep, and numbers in strings that have anything but digits.
func stricter(document any, says string) bool {
	object, _ := document.(map[string]any)
	_, text := object["value"].(string)
	return depth(document) > maxDepth || strings.Contains(says, "cannot encode") || says == noType ||
		text && (strings.Contains(says, "its value is a string") || strings.Contains(says, "no whole number") ||
			strings.Contains(says, "no base64") && strings.ContainsAny(object["value"].(string), "\r\n")) ||
		strings.Contains(says, "loses digits")
}

// looser reports whether the bridge may accept what Go refuses: null in place of a message; a Struct, a
// Value or an Empty without its "value"; an object that has a name twice (the last one counts); and base64 of an unknown
// type.
func looser(document any, err error) bool {
	object, _ := document.(map[string]any)
	_, value := object["value"]
	url, _ := object["@type"].(string)
	name := url[strings.LastIndex(url, "/")+1:]
	return document == nil || !value && (name == "google.protobuf.Struct" || name == "google.protobuf.Value" ||
		name == "google.protobuf.Empty") || object["value"] == nil && name == "google.protobuf.Struct" ||
		strings.Contains(err.Error(), "duplicate") || strings.Contains(err.Error(), "unable to resolve")
}

// TestManyFields parses fields in a time that must not grow with the square of their number.
func TestManyFields(t *testing.T) {
	var text bytes.Buffer
	text.WriteString(`{"@type":"` + typed + `","value":{"x":0`)
	for i := range 50_000 {
		fmt.Fprintf(&text, `,"field %d":%d`, i, i)
	}
	text.WriteString("}}")
	wire, good := run(t, 'a', text.Bytes())
	if !good || len(wire) < 50_000*10 {
		t.Errorf("%v, %d bytes", good, len(wire))
	}
}
