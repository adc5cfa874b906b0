package hmacauth

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
)

// withPath sends a path as it is written.
func withPath(t *testing.T, path string, header ...string) *filtertest.Response {
	t.Helper()
	day := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	p := plugin(func() time.Time { return day.Add(20 * time.Second) })
	r := newReq("GET", "example.amazonaws.com", "/", "", append([]string{"x-amz-date", "20150830T123600Z"}, header...)...)
	plain, err := url.PathUnescape(path)
	if err != nil {
		t.Fatalf("the path %q: %v", path, err)
	}
	r.URL.Path, r.URL.RawPath = plain, path
	return load(t, p).Do(r)
}

// signedFor is the authorization of a request for a service.
func signedFor(service, signature string) []string {
	return []string{"authorization", awsScheme + " Credential=AKIDEXAMPLE/20150830/us-east-1/" + service +
		"/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + signature}
}

// TestAWS4Paths has signatures by botocore 1.43, which signs the normalised path and sends it as it is. Those of paths that
// come to / are those of AWS's test suite.
func TestAWS4Paths(t *testing.T) {
	for _, c := range []struct{ path, signature string }{
		{"/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"/plain", "f82380d4611f7a0761b69f5fa266badd6de788df8453c4982aa07c7c5ef1c0cc"},
		{"//", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"/./", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"/example/..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"/example1/example2/../..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"/./example", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
		{"//example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
		{"/a/./b/../c", "ca38e935d3755995c54c9507f4222dbeafacd561e8d3100bb0679299b181a0f4"},
		{"/a//b///c/", "e831ebc7260d07fb5c2c3bab4448ff6f2091c5c3bc8749b79e53d01778633b5e"},
		{"/a/b/.", "a3ef7f40b9d3367140c9a7b8049aaddc77c79d96e9cf97b49a21702dfe72eaf5"},
		{"/a/..//b", "d79eb99afe136ad265b63a5249b1f6a245be1ebc34592d1c9b2affe73cb6b6e7"},
		{"/a%20b/%2e%2e/c", "7bd2b9cb33c94c5c2d210c683ea01e86068918e8a62d6a9eaaf544af5f515f61"},
		{"/../x", "55d1588ca3afc1b214110bfc9ec9c8b224fc9fcd08bef384fafca9f1e619b523"},
		{"/x/../../y", "ced06bcd59a02c82cfb744735cf9767539a63e5059bab014f00200c1a94026a0"},
		{"/.well-known/x", "0a61debb8a60f96d707d69f67ba919046a534559f807c8fa32bd2216ea26dccc"},
		{"/a%2Fb//c", "006eff3d53d3fa15e6340e61e016213e7f99291f4bf407e953a1b0ec30bae5da"},
		{"/~me/%C3%A4", "9eebc2b67e65829d150d14b95cae02ed957e4f4f26fd6432c27d3da6cbbc4c58"},
	} {
		t.Run(c.path, func(t *testing.T) {
			if r := withPath(t, c.path, signedFor("service", c.signature)...); r.Status != 200 {
				t.Errorf("got %d %s, want 200", r.Status, r.Details)
			}
			for _, other := range []string{c.path + "zz", c.path + "/../zz"} {
				t.Run(other, func(t *testing.T) {
					if r := withPath(t, other, signedFor("service", c.signature)...); r.Details != "moe.hmacauth.wrong" {
						t.Errorf("the signature for another path, %s: got %d %s, want moe.hmacauth.wrong", other, r.Status, r.Details)
					}
				})
			}
		})
	}
}

func TestCanonicalPaths(t *testing.T) {
	for _, c := range []struct{ name, path, service, want string }{
		{"plain", "/a/b", "x", "/a/b"},
		{"plain with a slash at the end", "/a/b/", "x", "/a/b/"},
		{"root", "/", "x", "/"},
		{"empty", "", "x", "/ "},
		{"escaped once more", "/a%20b", "x", "/a%2520b"},
		{"dot segment at the end", "/a/.", "x", "/a /a/ /a/."},
		{"up at the end", "/a/b/..", "x", "/a /a/ /a/b/.."},
		{"empty segments", "//a///b", "x", "/a/b //a///b"},
		{"above the root", "/../../a", "x", "/a /../../a"},
		{"encoded dots are not dots", "/a/%2e%2e/b", "x", "/a/%252e%252e/b"},
		{"s3", "//a/./b/../c%20", "s3", "//a/./b/../c%20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(canonicalPaths(c.path, c.service), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// FuzzCanonicalPaths: what is signed for a path resolves to nothing else, and has no dot segments but as it came.
func FuzzCanonicalPaths(f *testing.F) {
	f.Add("/a/./b/../c//")
	f.Add("/../..")
	f.Add("a")
	f.Fuzz(func(t *testing.T, path string) {
		resolves := func(slash bool) {
			once := resolve(path, slash)
			if twice := resolve(once, slash); twice != once {
				t.Errorf("%q resolves to %q, and that to %q", path, once, twice)
			}
			for segment := range strings.SplitSeq(strings.Trim(once, "/"), "/") {
				if once != "/" && (segment == "" || segment == "." || segment == "..") {
					t.Errorf("%q resolves to %q, want no segment %q", path, once, segment)
				}
			}
		}
		resolves(false)
		resolves(true)
	})
}
