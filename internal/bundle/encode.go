package bundle

import (
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
)

// Encode writes the bundle's modules with the given metadata as one multipart body, and returns its content type. The
// metadata is a part without a file name; each module's part is named, and file-named, like the module, which is how
// Cloudflare tells them apart. metadata is what a target made of b.Metadata; nil means b.Metadata itself.
func (b *Bundle) Encode(w io.Writer, metadata json.RawMessage) (contentType string, err error) {
	if metadata == nil {
		metadata = b.Metadata
	}
	body := multipart.NewWriter(w)
	if err := writePart(body, `form-data; name="`+metadataPart+`"`, "application/json", metadata); err != nil {
		return "", fmt.Errorf("write the metadata part: %w", err)
	}
	for _, module := range b.Modules {
		// Parse refuses names that would need escaping here.
		disposition := `form-data; name="` + module.Name + `"; filename="` + module.Name + `"`
		if err := writePart(body, disposition, module.ContentType, module.Body); err != nil {
			return "", fmt.Errorf("write the part of module %s: %w", module.Name, err)
		}
	}
	if err := body.Close(); err != nil {
		return "", fmt.Errorf("close the upload body: %w", err)
	}
	return body.FormDataContentType(), nil
}

func writePart(body *multipart.Writer, disposition, contentType string, content []byte) error {
	header := textproto.MIMEHeader{}
	header.Set("Content-Disposition", disposition)
	header.Set("Content-Type", contentType)
	part, err := body.CreatePart(header)
	if err != nil {
		return err
	}
	_, err = part.Write(content)
	return err
}
