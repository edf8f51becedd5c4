"use strict";

const page = document.getElementById("page");

SwaggerUIBundle({
  url: page.dataset.document,
  domNode: page,
  deepLinking: true,
  displayOperationId: true,
  validatorUrl: null,
});
