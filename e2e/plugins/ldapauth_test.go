package plugins

import (
	"fmt"
	"strconv"
	"strings"

	"mosn.io/moe/internal/ldaptest"
	"mosn.io/moe/internal/testcert"
)

// people are the entries of a directory. The passwords are wonderland, and s3arch of the one who searches.
const people = `dn: dc=example,dc=test
objectClass: domain
dc: example

dn: ou=people,dc=example,dc=test
objectClass: organizationalUnit
ou: people

dn: cn=reader,dc=example,dc=test
objectClass: person
cn: reader
sn: reader
userPassword: s3arch

dn: uid=alice,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Liddell
mail: alice@example.test
title: staff
title: admin
userPassword: wonderland

dn: uid=bob,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Baker
userPassword: builder

dn: uid=keyless,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: keyless
cn: Keyless
sn: Keyless
`

func init() {
	add("ldapauth: binds and searches of slapd", func(b *bed) {
		ca := testcert.New(b, b.TempDir())
		certificate, key := ca.Issue(b, "slapd", "127.0.0.1")
		s := ldaptest.StartSlapd(b, people, certificate, key)
		const common = `cacheTTL: 300ms, refusedTTL: 0s, timeout: 2s, claimsToHeaders: [{claim: mail, header: x-mail}]`
		bind := fmt.Sprintf(`{url: %q, userDN: "uid={username},ou=people,dc=example,dc=test", tls: {caFile: %s}, %s}`,
			s.Secure, strconv.Quote(ca.File), common)
		search := fmt.Sprintf(`{url: %q, tls: {startTLS: true, caFile: %s}, search: {base: "dc=example,dc=test",
			filter: "(&(objectClass=inetOrgPerson)(uid={username}))", bindDN: "cn=reader,dc=example,dc=test", password: s3arch}, %s}`,
			s.URL, strconv.Quote(ca.File), common)
		untrusted := fmt.Sprintf(`{url: %q, userDN: "uid={username},ou=people,dc=example,dc=test", %s}`, s.Secure, common)
		doc := func(config string) string {
			return "plugins: [{name: ldapauth, config: " + config + "}]\nconsumerHeader: x-who\n" +
				"consumers: [{name: alice, plugins: [{name: headermutation, config: {request: {set: {x-tier: gold}}}}]}]"
		}
		admins := route{"/body/", `plugins: [{name: ldapauth, config: {requiredAttributes: [{claim: title, anyOf: [admin]}]}}]`}
		listeners := map[string]*listener{"bind": b.listen(doc(bind), admins), "search": b.listen(doc(search), admins)}
		for mode, ln := range listeners {
			for _, c := range []struct{ name, path, auth, want string }{
				{"right", "/echo", basic("alice:wonderland"), "alice gold alice@example.test"},
				{"in upper case", "/echo", basic("ALICE:wonderland"), "alice gold alice@example.test"},
				{"without a mail", "/echo", basic("bob:builder"), "bob  "},
				{"wrong", "/echo", basic("alice:builder"), "401 wrong"},
				{"unknown", "/echo", basic("nobody:builder"), "401 wrong"},
				{"an entry without a password", "/echo", basic("keyless:x"), "401 wrong"},
				{"an empty password", "/echo", basic("alice:"), "401 malformed"},
				{"a star", "/echo", basic("*:wonderland"), "401 wrong"},
				{"the end of a filter", "/echo", basic("alice)(uid=*:wonderland"), "401 wrong"},
				{"a part of a DN", "/echo", basic("alice,ou=people:wonderland"), "401 wrong"},
				{"nothing", "/echo", "", "401 missing"},
				{"an admin", "/body/x", basic("alice:wonderland"), "alice gold alice@example.test"},
				{"not an admin", "/body/x", basic("bob:builder"), "403 attributes"},
			} {
				b.Run(mode+": "+c.name, func() {
					header := []string{"x-who", "root", "x-mail", "root@example.test"}
					if c.auth != "" {
						header = append(header, "authorization", c.auth)
					}
					r := ln.get(c.path, header...)
					got := fmt.Sprint(r.Status, " ", strings.TrimPrefix(fmt.Sprint(b.Access(r.ID)["details"]), "moe.ldapauth."))
					if r.Status == 200 {
						h := b.upstream(r).Header
						got = strings.Join(h.Values("x-who"), ",") + " " + h.Get("x-tier") + " " + strings.Join(h.Values("x-mail"), ",")
						if h.Get("authorization") != "" {
							b.Error("the upstream sees the password")
						}
					} else if b.reached(r) {
						b.Error("the request has reached the upstream")
					}
					if got != c.want {
						b.Errorf("got %q, want %q", got, c.want)
					}
				})
			}
		}
		alice := []string{"authorization", basic("alice:wonderland")}
		b.listen(doc(untrusted)).status(503, "/echo", alice...)
		s.Kill()
		for mode, ln := range listeners {
			b.Run(mode+": the directory dies", func() {
				b.Poll(func() error { // once what is remembered has ended
					if r := ln.get("/echo", alice...); r.Status != 503 {
						return fmt.Errorf("got %d, want 503", r.Status)
					}
					return nil
				})
			})
		}
		s.Restart()
		for mode, ln := range listeners {
			b.Run(mode+": the directory is back", func() { ln.status(200, "/echo", alice...) })
		}
		if log := b.HostLog().Since(0); strings.Contains(log, "wonderland") || strings.Contains(log, "s3arch") {
			b.Error("a password is in the log")
		}
	})
}
