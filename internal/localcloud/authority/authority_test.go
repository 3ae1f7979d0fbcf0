package authority

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestIssuedCertificatesAreBelievedThroughTheAuthorityOnly(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	certificate, key, err := first.Issue([]string{"app.example.com", "*.example.org"}, now.Add(-time.Minute), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		pool *x509.CertPool
		host string
		at   time.Time
		good bool
	}{
		{first.Pool(), "app.example.com", now, true},
		{again.Pool(), "app.example.com", now, true},
		{again.Pool(), "x.example.org", now, true},
		{again.Pool(), "example.com", now, false},
		{again.Pool(), "app.example.com", now.Add(2 * time.Hour), false},
		{stranger.Pool(), "app.example.com", now, false},
	} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: test.pool, DNSName: test.host, CurrentTime: test.at})
		if (err == nil) != test.good {
			t.Errorf("%s at %v: %v", test.host, test.at, err)
		}
	}
	for _, name := range []string{keyFile, certificateFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestADamagedAuthorityIsToldNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a key that is none was accepted")
	}
}
