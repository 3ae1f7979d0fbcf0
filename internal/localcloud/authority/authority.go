// Package authority is the certificate authority of a local Cloudflare: it signs the certificates that its HTTPS listener
// shows for custom domains and routes.
//
// Nothing ever installs its certificate: a client that wants to believe it is told so for one call, by the file that
// Authority.File names. Whoever has the key can pretend to be any host to such clients, so the key file is its owner's only.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Name is the issuer that its certificates show.
const Name = "Penstock local Cloudflare"

const (
	certificateFile = "ca.pem"
	keyFile         = "ca-key.pem"
	// life is how long the authority itself is good; a state folder is thrown away sooner.
	life = 10 * 365 * 24 * time.Hour
)

// Authority signs. It is safe for concurrent use.
type Authority struct {
	file        string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Open reads the authority in dir, and makes it the first time.
func Open(dir string) (*Authority, error) {
	a := &Authority{file: filepath.Join(dir, certificateFile)}
	certificate, err := os.ReadFile(a.file)
	if errors.Is(err, os.ErrNotExist) {
		return a, a.make(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority's key: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority in %s is damaged; remove %s and %s to have a new one made: %w", dir, certificateFile, keyFile, err)
	}
	signer, isECDSA := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !isECDSA {
		return nil, fmt.Errorf("the certificate authority in %s is not one of ours; remove %s and %s to have one made", dir, certificateFile, keyFile)
	}
	a.key, a.certificate = signer, pair.Leaf
	return a, nil
}

// make writes the key first: a certificate file means that both are there.
func (a *Authority) make(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the certificate authority: %w", err)
	}
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return fmt.Errorf("create the certificate authority's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: Name, Organization: []string{"Penstock, this machine only"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign the certificate authority: %w", err)
	}
	if a.certificate, err = x509.ParseCertificate(signed); err != nil {
		return fmt.Errorf("read the new certificate authority: %w", err)
	}
	key, err := encodeKey(a.key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), key, 0o600); err != nil {
		return fmt.Errorf("write the certificate authority's key: %w", err)
	}
	if err := os.WriteFile(a.file, encodeCertificate(signed), 0o600); err != nil {
		return fmt.Errorf("write the certificate authority: %w", err)
	}
	return nil
}

// File is the path of the authority's certificate, in PEM: what curl takes as --cacert.
func (a *Authority) File() string { return a.file }

// Pool holds the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Issue signs a certificate for hosts, a wildcard such as *.example.com included, and returns certificate and key in PEM.
func (a *Authority) Issue(hosts []string, from, until time.Time) (certificate, key []byte, err error) {
	if len(hosts) == 0 {
		return nil, nil, errors.New("issue a certificate: no host is named")
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("create the key of %s: %w", hosts[0], err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		// A subject's common name holds 64 characters at most; the hosts are in the names below, where clients look.
		SerialNumber: serial, Subject: pkix.Name{CommonName: hosts[0][:min(len(hosts[0]), 64)]}, DNSNames: hosts,
		NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, a.certificate, leafKey.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of %s: %w", hosts[0], err)
	}
	if key, err = encodeKey(leafKey); err != nil {
		return nil, nil, err
	}
	return encodeCertificate(signed), key, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("choose a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
