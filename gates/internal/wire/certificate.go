package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// serverName is the name in both certificates. It is checked against nothing but itself: each side trusts the other's one
// certificate and no other.
const serverName = "localhost"

// newCertificate makes a key and a certificate for one start. P-256 is what browsers and servers use among themselves;
// the P-521 of go-plugin takes many times as long and protects against nothing more here.
func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(7 * 24 * time.Hour), // longer than any run
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		// OpenSSL, and so a set in another language, takes a certificate that stands for itself only as an authority.
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// HostTLS makes both identities of one start: the host's, with which it shows itself and trusts the set's and no other, and
// what the set is to find in its environment. A set that makes a certificate of its own, as go-plugin's AutoMTLS does, names
// it in the handshake, and go-plugin's client then trusts that one instead.
func HostTLS() (config *tls.Config, environment []string, err error) {
	own, err := newCertificate()
	if err != nil {
		return nil, nil, err
	}
	sets, err := newCertificate()
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(sets.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("make a certificate: %w", err)
	}
	trusted, err := x509.ParseCertificate(sets.Certificate[0])
	if err != nil {
		return nil, nil, fmt.Errorf("make a certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(trusted)
	config = &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: pool, ServerName: serverName, MinVersion: tls.VersionTLS13}
	inPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return config, []string{
		ClientCertificate + "=" + inPEM("CERTIFICATE", own.Certificate[0]),
		SetCertificate + "=" + inPEM("CERTIFICATE", sets.Certificate[0]),
		SetKey + "=" + inPEM("PRIVATE KEY", key),
	}, nil
}

// SetTLS is a set's side, from its environment: it shows the identity that it was given, and serves only who shows the
// host's certificate.
func SetTLS(getenv func(string) string) (*tls.Config, error) {
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(getenv(ClientCertificate))) {
		return nil, fmt.Errorf("the host gave no certificate in %s: this penstock is too old, or none", ClientCertificate)
	}
	own, err := tls.X509KeyPair([]byte(getenv(SetCertificate)), []byte(getenv(SetKey)))
	if err != nil {
		return nil, fmt.Errorf("the host gave no identity in %s and %s: %w", SetCertificate, SetKey, err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}, nil
}
