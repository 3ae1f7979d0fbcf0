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

// HostTLS is a host's side of one start: what it shows itself with, and the same in PEM for [ClientCertificate]. It trusts
// nobody until the set's certificate is put into RootCAs.
func HostTLS() (config *tls.Config, certificate string, err error) {
	own, err := newCertificate()
	if err != nil {
		return nil, "", err
	}
	config = &tls.Config{
		Certificates: []tls.Certificate{own}, RootCAs: x509.NewCertPool(), ServerName: serverName, MinVersion: tls.VersionTLS13,
	}
	return config, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})), nil
}

// setTLS is a set's side: it serves only who shows the certificate that is given in PEM.
func setTLS(host string) (*tls.Config, error) {
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(host)) {
		return nil, fmt.Errorf("the host gave no certificate in %s: this penstock is too old, or none", ClientCertificate)
	}
	own, err := newCertificate()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}, nil
}
