package bridge

import (
	"strings"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
)

func TestBuffer(t *testing.T) {
	try := func(query, up, down string) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) {
			t.Helper()
			got := s.do(t, ask(query, strings.Repeat("12345", 10)))
			status(t, got, 200)
			equal(t, "the request's body", up, s.last(t).body)
			equal(t, "the response's body", down, got.Body)
		}
	}
	all := "0" + "123456" + "78" + "9012" + "34567890" + "!"
	cases{
		"BufferDrain":           try("?Drain", "", ""),
		"BufferReset":           try("?Reset", "", ""),
		"BufferResetAfterDrain": try("?ResetAfterDrain", "", ""),
		"BufferLen":             try("?Len", all, all),
	}.run(t, func() listen { return listen{plugin: "buffer", answer: answers(200, nil, false, "goodbye")} })
}

func TestBufferExceedLimit(t *testing.T) {
	cases{"BufferExceedLimit_DecodeHeader": func(t testing.TB, s *site) {
		got := s.do(t, ask("?databuffer=decode-header", strings.Repeat("-", 100<<10), strings.Repeat("-", 200<<10)))
		status(t, got, 413)
		equal(t, "body", "PAYLOAD TOO LARGE", strings.ToUpper(got.Body))
	}}.run(t, func() listen {
		l := named()
		l.buffer = 64 << 10
		return l
	})
}

func TestAddData(t *testing.T) {
	body := func(r client.Request, want string) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) {
			t.Helper()
			s.do(t, r)
			equal(t, "the request's body", want, s.last(t).body)
		}
	}
	trailed := func(query string) client.Request {
		r := ask(query, "foo")
		r.Trailer = []string{"x-trailer", "bar"}
		return r
	}
	head := ask("?decodeHeaders=foo")
	head.Method, head.Chunks = "HEAD", nil
	onEnvoys(t, func(t *testing.T, b *bed) {
		cases{
			"AddDataInDecodeHeaders": func(t testing.TB, s *site) {
				body(head, "foo")(t, s)
				equal(t, "method", "POST", s.last(t).Method)
			},
			"AddDataRejectedWhenProcessingData": func(t testing.TB, s *site) {
				s.do(t, ask("?decodeData=bar", "addData"))
				contains(t, "body", s.last(t).body, "not allowed: ")
			},
			"AddDataInDecodeTrailers":  body(trailed("?decodeTrailers=bar"), "foobar"),
			"AddDataBufferAllData":     body(trailed("?decodeTrailers=bar&bufferAllData=true"), "foobar"),
			"AddData async, streaming": body(trailed("?decodeTrailers=bar&async=1&streaming=1"), "foobar"),
		}.on(t, b, listen{plugin: "adddata"})
		cases{"AddDataInEncodeHeaders": func(t testing.TB, s *site) {
			equal(t, "body", "foo", s.do(t, ask("?encodeHeaders=foo")).Body)
		}}.on(t, b, listen{plugin: "adddata", answer: answers(200, nil, false)})
		down := func(query string) func(t testing.TB, s *site) {
			return func(t testing.TB, s *site) { equal(t, "body", "foobar", s.do(t, ask(query)).Body) }
		}
		cases{
			"AddDataInEncodeTrailers":      down("?encodeTrailers=bar"),
			"AddDataBufferAllDataAndAsync": down("?encodeTrailers=bar&bufferAllData=true&async=1"),
		}.on(t, b, listen{plugin: "adddata", answer: answers(200, nil, true, "foo")})
	})
}

const question = "To be, or not to be, that is the question"

func TestInject(t *testing.T) {
	slow := func(query string, body ...string) client.Request {
		r := ask(query, body...)
		r.Pause = 50 * time.Millisecond // so that they are two chunks in Envoy too
		return r
	}
	refused := func(query string) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) { status(t, s.do(t, ask(query, "blahblah")), 400) }
	}
	up := func(r client.Request) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) {
			t.Helper()
			s.do(t, r)
			equal(t, "the request's body", question, s.last(t).body)
		}
	}
	down := func(query string) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) { equal(t, "the response's body", question, s.do(t, ask(query)).Body) }
	}
	onEnvoys(t, func(t *testing.T, b *bed) {
		cases{
			"BufferInjectData_InBufferedDownstreamRequest":    up(slow("?buffered_decode", "To ", "be, ")),
			"BufferInjectData_InNonBufferedDownstreamRequest": up(slow("?streamed_decode", "To be, ", "that is ")),
			"BufferInjectData_WithoutProcessingData":          refused("?in_headers"),
			"BufferInjectData_ProcessingDataSynchronously":    refused("?in_data_synchronously"),
		}.on(t, b, listen{plugin: "inject"})
		cases{"BufferInjectData_InBufferedUpstreamResponse": down("?buffered_encode")}.
			on(t, b, listen{plugin: "inject", answer: answers(200, nil, false, "To ", "be, ")})
		cases{"BufferInjectData_InNonBufferedUpstreamResponse": down("?streamed_encode")}.
			on(t, b, listen{plugin: "inject", answer: answers(200, nil, false, "To be, ", "that is ")})
	})
}

func TestActionWithoutData(t *testing.T) {
	fails := func(query string) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) {
			status(t, s.do(t, client.Request{Path: "/test?" + query}), 500)
		}
	}
	cases{
		"DecodeHeadersWithoutData_StopAndBuffer":                fails("decodeHeadersRet=StopAndBuffer"),
		"DecodeHeadersWithoutData_StopAndBufferWatermark":       fails("decodeHeadersRet=StopAndBufferWatermark"),
		"DecodeHeadersWithoutData_StopAndBuffer_Async":          fails("decodeHeadersRet=StopAndBuffer&async=1"),
		"DecodeHeadersWithoutData_StopAndBufferWatermark_Async": fails("decodeHeadersRet=StopAndBufferWatermark&async=1"),
		"EncodeHeadersWithoutData_StopAndBuffer":                fails("encodeHeadersRet=StopAndBuffer"),
		"EncodeHeadersWithoutData_StopAndBufferWatermark":       fails("encodeHeadersRet=StopAndBufferWatermark"),
		"EncodeHeadersWithoutData_StopAndBuffer_Async":          fails("encodeHeadersRet=StopAndBuffer&async=1"),
		"EncodeHeadersWithoutData_StopAndBufferWatermark_Async": fails("encodeHeadersRet=StopAndBufferWatermark&async=1"),
	}.run(t, func() listen { return listen{plugin: "action"} })
}
