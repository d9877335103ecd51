// Nothing of what is typed here is kept, and nothing is asked of anybody but this server.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  docExpansion: "list",
  queryConfigEnabled: false,
  persistAuthorization: false,
  validatorUrl: null,
});

for (const place of document.querySelectorAll(".http")) place.textContent = location.origin;
for (const place of document.querySelectorAll(".ws")) {
  place.textContent = location.origin.replace(/^http/, "ws");
}
