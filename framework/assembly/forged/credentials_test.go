package forged

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/internal/ldaptest"
)

// The credentials are made as clients and providers make them, each for alice and for the path "/".

const secret = "0123456789abcdef0123456789abcdef"

func mac(text string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return h.Sum(nil)
}

// token is a JSON Web Token.
func token() string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		encode(fmt.Appendf(nil, `{"iss":"i","sub":"alice","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	return text + "." + encode(mac(text))
}

// opaque is a token that the authorization server of introspect knows.
const opaque = "an-opaque-token-of-alice"

// introspect is the endpoint of an authorization server (RFC 7662) that knows one token. It lives as long as the process.
var introspect = sync.OnceValue(func() string {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		active := subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(opaque)) == 1
		fmt.Fprintf(w, `{"active": %t, "sub": "alice"}`, active)
	})).URL
})

// directory is the address of an LDAP directory that knows alice. It lives as long as the process.
var directory = sync.OnceValue(func() string {
	d, err := ldaptest.Respond(ldaptest.Person{
		DN: "uid=alice,dc=a", Password: "open sesame", Attributes: map[string][]string{"uid": {"alice"}, "mail": {"alice@a.example"}},
	})
	if err != nil {
		panic(err)
	}
	return "ldap://" + d.Addr().String()
})

// certificate is the name of a field that stands for the subject of the client's certificate.
const certificate = ":certificate"

// pathToken is what tokenauth takes.
func pathToken() string { return fmt.Sprintf("%x", md5.Sum([]byte("/"+secret))) }

var nonces atomic.Int64

// signature signs the request by RFC 9421, each time anew: hmacauth takes a signature once.
func signature() []core.Field {
	params := fmt.Sprintf(`("@method" "@authority" "@path" "@query");created=%d;keyid="alice";nonce="%d"`,
		time.Now().Unix(), nonces.Add(1))
	base := `"@method": GET` + "\n" + `"@authority": a.example` + "\n" + `"@path": /` + "\n" + `"@query": ?` + "\n" +
		`"@signature-params": ` + params
	return []core.Field{
		{Name: "signature-input", Value: "s=" + params},
		{Name: "signature", Value: "s=:" + base64.StdEncoding.EncodeToString(mac(base)) + ":"},
	}
}

// session is the cookie of somebody who has signed in with oidc.
func session(issuer, client string) string {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "moe oidc cookies 1", 32)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	now := time.Now().Unix()
	text := fmt.Appendf(nil, `{"e":%d,"v":{"s":"alice","c":{"sub":"alice","email":"alice@a.example"},"b":%d,"a":"an-access-token"}}`,
		now+3600, now)
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, text, []byte(issuer+"\x00"+client+"\x00session")))
}
