package main

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	fs, err := parse(`
		// CAPIStatus envoyGoFilterHttpOld(void* s);
		CAPIStatus envoyGoFilterHttpNew(void* s, const char* name,
		                                long long int n, uint64_t* value);
		void envoyGoFilterHttpDone(void* s /* the stream */);
		uint32_t envoyGoFilterLogLevel();
		void* envoyGoFilterUpstreamConnect(void* library_id);
	`)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	var got []string
	for _, f := range fs {
		got = append(got, f.signature())
	}
	want := "CAPIStatus golang_host_FilterHttpNew(void *s, const char *name, long long int n, uint64_t *value)|" +
		"void golang_host_FilterHttpDone(void *s)|uint32_t golang_host_FilterLogLevel(void)"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	c := definitions(fs)
	for _, part := range []string{
		"return f != NULL ? f(s, name, n, value) : CAPIInternalFailure;", "if (f != NULL)\n    f(s);",
		"return f != NULL ? f() : MOE_NO_LOG_LEVEL;",
	} {
		t.Run(part, func(t *testing.T) {
			if !strings.Contains(c, part) {
				t.Errorf("no %q in\n%s", part, c)
			}
		})
	}
}

// What a new version of Envoy may bring must not be overlooked.
func TestParseRefuses(t *testing.T) {
	for header, want := range map[string]string{
		"CAPIStatus envoyGoFilterTelepathy(void* s);":              "no kind that abigen knows",
		"struct answer envoyGoFilterHttpAsk(void* s);":             "returns a struct answer",
		"CAPIStatus envoyGoFilterHttpCall(void (*f)(int), int n);": "only 0 prototypes were understood",
		"CAPIStatus envoyGoFilterHttpCall(int);":                   "has no name",
		"int unrelated(void);":                                     "no function begins",
	} {
		t.Run(header, func(t *testing.T) {
			if _, err := parse(header); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", header, err, want)
			}
		})
	}
}
