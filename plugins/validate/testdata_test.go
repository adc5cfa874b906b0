package validate

import "strings"

// pets is an OpenAPI document, of version VERSION.
const pets = `
openapi: VERSION
info: {title: Pets, version: "1"}
paths:
  /pets:
    get:
      parameters:
      - {name: limit, in: query, schema: {type: integer, maximum: 100}}
      - {name: x-tenant, in: header, required: true, schema: {type: string, minLength: 2}}
      responses: {"200": {description: all of them}}
    post:
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Pet"}}
          application/x-www-form-urlencoded:
            schema: {type: object, required: [name], properties: {name: {type: string}, age: {type: integer}}}
          image/png: {schema: {type: string, format: binary}}
      responses:
        "200":
          description: the pet
          content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}
        default: {$ref: "#/components/responses/Error"}
  /pets/{id}:
    get:
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses: {"200": {description: it}}
  /trees:
    post:
      requestBody: {$ref: "#/components/requestBodies/Tree"}
      responses: {"200": {description: taken}}
  /any:
    post:
      requestBody: {content: {"*/*": {schema: {type: object}}}}
      responses: {"200": {description: taken}}
components:
  requestBodies:
    Tree: {content: {application/json: {schema: {$ref: "#/components/schemas/Tree"}}}}
  responses:
    Error: {description: no, content: {application/problem+json: {schema: {type: object}}}}
  schemas:
    Pet:
      type: object
      required: [name]
      additionalProperties: false
      properties: {name: {type: string}, tag: NULLABLE}
    Tree:
      type: object
      properties: {children: {type: array, items: {$ref: "#/components/schemas/Tree"}}, leaf: {type: boolean}}
`

func document(version string) string {
	nullable := "{type: string, nullable: true}"
	if strings.HasPrefix(version, "3.1") {
		nullable = "{type: [string, 'null']}"
	}
	return strings.NewReplacer("VERSION", version, "NULLABLE", nullable).Replace(pets)
}
