package ldaptest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Slapd is OpenLDAP's server, on ports of this machine. It ends with the test.
type Slapd struct {
	// URL is ldap://, on which STARTTLS works, and Secure ldaps://.
	URL, Secure string

	t       testing.TB
	command func() *exec.Cmd
	cmd     *exec.Cmd
}

// StartSlapd starts a server of dc=example,dc=test with entries in LDIF, and a certificate and key in PEM for TLS.
func StartSlapd(t testing.TB, ldif, certificate, key string) *Slapd {
	t.Helper()
	slapd, slapadd := program(t, "slapd"), program(t, "slapadd")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		return path
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatalf("os.Mkdir: %v", err)
	}
	config := write("slapd.conf", fmt.Sprintf(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile %s
TLSCertificateKeyFile %s
TLSVerifyClient never
database mdb
suffix dc=example,dc=test
directory %s/data
maxsize 10485760
access to attrs=userPassword by anonymous auth by * none
access to * by anonymous auth by users read
`, certificate, key, dir))
	if out, err := exec.Command(slapadd, "-f", config, "-l", write("entries.ldif", ldif)).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s := &Slapd{URL: "ldap://" + freeAddr(t), Secure: "ldaps://" + freeAddr(t), t: t}
	s.command = func() *exec.Cmd {
		// -d keeps it in the foreground.
		return exec.Command(slapd, "-f", config, "-h", s.URL+" "+s.Secure, "-d", "0")
	}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Restart starts the server again after Kill, with what it had.
func (s *Slapd) Restart() {
	s.t.Helper()
	s.cmd = s.command()
	var said strings.Builder
	s.cmd.Stderr = &said
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("slapd: %v", err)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatalf("url.Parse: %v", err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.Dial("tcp", u.Host)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			s.Kill()
			s.t.Fatalf("slapd does not answer: %v\n%s", err, said.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Kill ends the server at once.
func (s *Slapd) Kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// program finds a program of OpenLDAP's server, which may be where only root looks.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/libexec/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("there is no %s: run scripts/install-slapd", name)
	return ""
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}
