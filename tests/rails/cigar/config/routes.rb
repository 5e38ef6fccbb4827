Rails.application.routes.draw do
  root to: "products#index"
  resources :products, only: [:index, :show, :create]
  get "/report", to: "products#report"

  get "/up", to: "status#up"
  get "/version", to: "status#version"
  get "/slow/:milliseconds", to: "status#slow"
  get "/env/:name", to: "status#env"
end
