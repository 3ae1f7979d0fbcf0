package wire

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
)

// TestOnlyTheTwoOfOneStartSpeak: a host and the set that it started know each other by the certificates of that start, and
// nobody else, also not another start's.
func TestOnlyTheTwoOfOneStartSpeak(t *testing.T) {
	t.Parallel()
	host, given, err := HostTLS()
	if err != nil {
		t.Fatal(err)
	}
	otherHost, otherGiven, err := HostTLS()
	if err != nil {
		t.Fatal(err)
	}
	set, err := SetTLS(environment(given))
	if err != nil {
		t.Fatal(err)
	}
	otherSet, err := SetTLS(environment(otherGiven))
	if err != nil {
		t.Fatal(err)
	}
	trusting := host.Clone()
	trusting.Certificates = otherHost.Certificates // knows the set's certificate and is not its host
	for _, c := range []struct {
		name   string
		client *tls.Config
		server *tls.Config
		speak  bool
	}{
		{"host and its set", host, set, true},
		{"host and another's set", host, otherSet, false},
		{"another host, which knows the set's certificate", trusting, set, false},
		{"a client without a certificate", &tls.Config{RootCAs: host.RootCAs, ServerName: host.ServerName}, set, false},
	} {
		if err := speak(t, c.client, c.server); (err == nil) != c.speak {
			t.Errorf("%s: speak %v, error %v", c.name, c.speak, err)
		}
	}
}

func TestASetNeedsBothSidesOfItsStart(t *testing.T) {
	t.Parallel()
	_, given, err := HostTLS()
	if err != nil {
		t.Fatal(err)
	}
	for _, missing := range []string{ClientCertificate, SetCertificate, SetKey} {
		_, err := SetTLS(func(name string) string {
			if name == missing {
				return ""
			}
			return environment(given)(name)
		})
		if err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

// speak makes the server say a word to the client, which it does only once both are content with each other.
func speak(t *testing.T, client, server *tls.Config) error {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	served := make(chan error, 1)
	go func() {
		defer far.Close()
		connection := tls.Server(far, server)
		_, err := connection.Write([]byte("yes"))
		served <- err
	}()
	word := make([]byte, 3)
	_, err := tls.Client(near, client).Read(word)
	near.Close()
	if serverErr := <-served; err == nil {
		err = serverErr
	}
	return err
}

func environment(pairs []string) func(string) string {
	return func(name string) string {
		for _, pair := range pairs {
			if value, found := strings.CutPrefix(pair, name+"="); found {
				return value
			}
		}
		return ""
	}
}
